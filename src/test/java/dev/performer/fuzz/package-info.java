/**
 * Damaged files for every reader: each mutant is made from a committed file by a seed, so that it
 * can be made again. {@code ci/fuzz.sh} runs {@link dev.performer.fuzz.Fuzz}.
 */
package dev.performer.fuzz;
