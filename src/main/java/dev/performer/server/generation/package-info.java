/**
 * What the APIs that generate have in common: their parameters, and texts that one call wants
 * together. Knows no API.
 */
package dev.performer.server.generation;
