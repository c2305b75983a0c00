package dev.performer.recipe;

import dev.performer.PerformerException;

/**
 * Sizes of what a recipe makes up. Copying takes {@code symbols}; retrieval the others.
 *
 * @param symbols different symbols to copy
 * @param pairs of a key and a value among the filler
 * @param records whether a pair is one token that stands for both; false if absent
 * @param questions keys whose values are to be guessed
 * @param keys different keys
 * @param values different values
 * @param fillers different filler tokens
 * @param shortest tokens of the shortest examples of training, which have half, a quarter, … of the
 *     length, too; as many tokens of each. Null for the full length only, as in evaluation
 * @param examples of an epoch of training
 * @param validation examples to evaluate on, none of which is in training
 */
public record RecipeExercise(
    Integer symbols,
    Integer pairs,
    Boolean records,
    Integer questions,
    Integer keys,
    Integer values,
    Integer fillers,
    Integer shortest,
    Integer examples,
    Integer validation) {
  static final RecipeExercise DEFAULT =
      new RecipeExercise(null, null, null, null, null, null, null, null, null, null);

  /** Fills in what is absent. */
  public RecipeExercise {
    symbols = symbols == null ? Integer.valueOf(8) : symbols;
    pairs = pairs == null ? Integer.valueOf(1) : pairs;
    records = records != null && records;
    questions = questions == null ? pairs : questions;
    keys = keys == null ? pairs : keys;
    values = values == null ? Integer.valueOf(16) : values;
    fillers = fillers == null ? Integer.valueOf(16) : fillers;
    examples = examples == null ? Integer.valueOf(100_000) : examples;
    validation = validation == null ? Integer.valueOf(64) : validation;
    if (symbols < 2 || examples < 1 || validation < 1) {
      throw new PerformerException(
          "data.exercise: symbols must be at least 2, examples and validation at least 1");
    }
  }
}
