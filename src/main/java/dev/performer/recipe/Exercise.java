package dev.performer.recipe;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import dev.performer.data.CopyTask;
import dev.performer.data.ListOpsTask;
import dev.performer.data.MadeUpExamples;
import dev.performer.data.RetrievalTask;
import dev.performer.recipe.RecipeData.Kind;

/**
 * Sizes of what a recipe makes up: how many different symbols to copy, for retrieval how many
 * different keys, values and fillers, and of lists.
 *
 * @param pairs of a key and a value among the filler
 * @param records whether a pair is one token that stands for both; false if absent
 * @param questions keys whose values are to be guessed
 * @param shortest tokens of the shortest examples of training, which have half, a quarter, … of the
 *     length, too; as many tokens of each. Null for the full length only, as in evaluation
 * @param examples of an epoch of training
 * @param validation examples to evaluate on, none of which is in training
 * @param depth of lists within each other
 * @param arguments of an operation on a list at most
 */
public record Exercise(
    Integer symbols,
    Integer pairs,
    Boolean records,
    Integer questions,
    Integer keys,
    Integer values,
    Integer fillers,
    Integer shortest,
    Integer examples,
    Integer validation,
    Integer depth,
    Integer arguments) {
  /** Fills in what is absent. */
  public Exercise {
    symbols = requireNonNullElse(symbols, 8);
    pairs = requireNonNullElse(pairs, 1);
    records = requireNonNullElse(records, false);
    questions = requireNonNullElse(questions, pairs);
    keys = requireNonNullElse(keys, pairs);
    values = requireNonNullElse(values, 16);
    fillers = requireNonNullElse(fillers, 16);
    examples = requireNonNullElse(examples, 100_000);
    validation = requireNonNullElse(validation, 64);
    depth = requireNonNullElse(depth, 10);
    arguments = requireNonNullElse(arguments, 10);
    boolean isFit = symbols > 1 && examples > 0 && validation > 0;
    String text = "data.exercise: symbols must be at least 2, examples and validation at least 1";
    require(isFit, text);
  }

  /** So many examples. @throws IllegalArgumentException if the sizes do not fit one another */
  MadeUpExamples task(Kind kind, int length, int size, long seed) {
    return switch (kind) {
      case COPY -> new CopyTask(length, symbols, size, seed);
      case LISTOPS -> new ListOpsTask(length, depth, arguments, size, seed);
      default ->
          new RetrievalTask(length, pairs, records, questions, keys, values, fillers, size, seed);
    };
  }
}
