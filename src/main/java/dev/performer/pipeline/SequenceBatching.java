package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.Tokenizer;
import dev.performer.recipe.RecipeData.Crop;

/**
 * How sequences become batches of a language model.
 *
 * @param length tokens of a sequence at most, longer ones are cropped; null for {@link
 *     Batching#DEFAULT_LENGTH}, or what the model takes if that is less
 * @param crop which part of a long sequence trains; null for the start where the model takes no
 *     more than a length, else a random one
 * @param size of a batch
 * @param end whether the end token is appended, where the vocabulary has one
 */
public record SequenceBatching(Integer length, Crop crop, BatchSize size, boolean end) {
  /** What is not configured. */
  public static final SequenceBatching DEFAULT =
      new SequenceBatching(null, null, new BatchSize.Tokens(Batching.DEFAULT_TOKENS), true);

  /** What is not configured where examples have labels. */
  public static final SequenceBatching LABELLED =
      new SequenceBatching(null, Crop.START, new BatchSize.Sequences(32), true);

  /** Checks. @throws PerformerException if the length is no length */
  public SequenceBatching {
    if (length != null && length < 2) {
      throw new PerformerException("length must be at least 2, not " + length).settledBy("length");
    }
  }

  /** The same up to another length. */
  public SequenceBatching withLength(int tokens) {
    return new SequenceBatching(tokens, crop, size, end);
  }

  /** The same with another part of long sequences. */
  public SequenceBatching withCrop(Crop other) {
    return new SequenceBatching(length, other, size, end);
  }

  /** The same with batches of another size. */
  public SequenceBatching withSize(BatchSize other) {
    return new SequenceBatching(length, crop, other, end);
  }

  /** The same with the end token or without. */
  public SequenceBatching withEnd(boolean value) {
    return new SequenceBatching(length, crop, size, value);
  }

  /** For a model. @throws PerformerException if it takes no such length */
  Batching of(LanguageModelSpec spec) {
    TokenInput input = spec.input();
    int longest = input.maxLength();
    if (length != null && longest > 0) {
      input.requireLength(length);
    }
    Integer most = longest > 0 ? longest : null;
    return of(input.model(), input.tokenizer(), most, spec.tensors().paddedLength());
  }

  /** The same; null stands for no longest sequence, and for lengths that may differ. */
  Batching of(Object model, Tokenizer tokenizer, Integer longest, Integer padded) {
    int wanted = length == null ? Batching.DEFAULT_LENGTH : length;
    int tokens = longest == null ? wanted : Math.min(wanted, longest);
    if (length != null) {
      TokenInput.requireLength(model, "", tokens, length);
    }
    return new Batching(
        tokens,
        size,
        padded == null ? Batching.DEFAULT_BUCKET : tokens,
        tokenizer.cls().isPresent(),
        end && tokenizer.ends().isPresent(),
        true,
        // A model that learned where a sequence begins sees nothing else.
        crop == null ? longest == null : crop == Crop.RANDOM,
        Batching.DEFAULT_WINDOW);
  }
}
