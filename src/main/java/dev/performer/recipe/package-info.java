/** Trainings from scratch that YAML describes, and their data. */
package dev.performer.recipe;
