package dev.performer.recipe;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

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
  /** Fills in what is absent. */
  public RecipeExercise {
    symbols = requireNonNullElse(symbols, 8);
    pairs = requireNonNullElse(pairs, 1);
    records = requireNonNullElse(records, false);
    questions = requireNonNullElse(questions, pairs);
    keys = requireNonNullElse(keys, pairs);
    values = requireNonNullElse(values, 16);
    fillers = requireNonNullElse(fillers, 16);
    examples = requireNonNullElse(examples, 100_000);
    validation = requireNonNullElse(validation, 64);
    require(
        symbols > 1 && examples > 0 && validation > 0,
        "data.exercise: symbols must be at least 2, examples and validation at least 1");
  }
}
