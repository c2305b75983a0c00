package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.attention.projection.Threefry;
import dev.performer.data.Masking;
import dev.performer.data.SpanCorruption;
import dev.performer.data.TokenBatch;
import dev.performer.data.Vocabulary;
import java.util.Arrays;

/** What a model is trained to guess. */
public interface Objective {
  /** Inputs, targets and weights for a batch; the same for the same seed and step. */
  LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step);

  /** Guess the tokens that were replaced. */
  record MaskedLanguageModel(Masking masking) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      Masking.Masked masked = masking.apply(batch, vocabulary, seed, step);
      float[] weights = new float[masked.chosen().length];
      for (int i = 0; i < weights.length; i++) {
        weights[i] = masked.chosen()[i] ? 1 : 0;
      }
      return LabelledBatch.of(batch, masked.inputs(), batch.tokens(), weights);
    }
  }

  /**
   * Guess each token from those before it; where examples have weights, each counts by its weight.
   *
   * @param modelShifts whether the model itself moves its inputs one place to the right, as
   *     Google's FlaxLM does: then logits at t are for token t. Otherwise they are for token t + 1,
   *     and the first token of a sequence is guessed only if a begin token stands before it
   */
  record CausalLanguageModel(boolean modelShifts) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      int[] tokens = batch.tokens();
      int[] targets = tokens.clone();
      float[] given = batch.weights();
      float[] weights = new float[tokens.length];
      int ahead = modelShifts ? 0 : 1;
      for (int row = 0; row < batch.rows(); row++) {
        int start = row * batch.length();
        for (int i = 0; i + ahead < batch.lengths()[row]; i++) {
          targets[start + i] = tokens[start + i + ahead];
          weights[start + i] = given[start + i + ahead];
        }
      }
      return LabelledBatch.of(batch, tokens, targets, weights);
    }
  }

  /** Guess the class of each sequence, one a row, below {@code classes}. */
  record Classification(int classes) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      int greatest = Arrays.stream(batch.categories()).max().orElse(0);
      String text =
          "an example has class %d, but the model has %d classes, from 0; mend it or model.classes";
      PerformerException.require(greatest < classes, text, greatest, classes);
      return LabelledBatch.of(batch, batch.tokens(), batch.categories(), ones(batch.rows()));
    }
  }

  /** Guess the number of each sequence, in the unit of training. */
  record Regression(Standardization unit) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      float[] numbers = batch.values();
      for (int row = 0; row < numbers.length; row++) {
        numbers[row] = unit.standardized(numbers[row]);
      }
      int[] none = {};
      return LabelledBatch.of(batch, none, ones(batch.rows()), numbers, none);
    }
  }

  /** Guess numbers, or 0 and 1 for labels, of each sequence; what is not known counts nothing. */
  record Values() implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      float[] numbers = batch.numbers();
      float[] weights = known(numbers);
      int[] none = {};
      return LabelledBatch.of(batch, none, weights, numbers, none);
    }

    /** 1 for each number, and 0 for what is none, which becomes 0. */
    public static float[] known(float[] numbers) {
      float[] weights = ones(numbers.length);
      for (int i = 0; i < numbers.length; i++) {
        if (Float.isNaN(numbers[i])) {
          numbers[i] = weights[i] = 0;
        }
      }
      return weights;
    }
  }

  /** Guess the class of each token that has one. */
  record TokenClassification() implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      int[] tags = batch.tags();
      return LabelledBatch.of(batch, batch.tokens(), tags, known(tags));
    }

    /** 1 for each class, and 0 for what is none, which becomes 0. */
    public static float[] known(int[] classes) {
      float[] weights = ones(classes.length);
      for (int i = 0; i < classes.length; i++) {
        if (classes[i] < 0) {
          classes[i] = 0;
          weights[i] = 0;
        }
      }
      return weights;
    }
  }

  private static float[] ones(int rows) {
    float[] ones = new float[rows];
    Arrays.fill(ones, 1);
    return ones;
  }

  /**
   * Write what is missing in a sequence, token by token. The model itself moves the decoder's
   * inputs one place to the right, so they are the targets.
   */
  record SpanCorruptedSequence(SpanCorruption corruption, int pad) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      TokenBatch in = corruption.apply(batch, pad, seed, step);
      TokenBatch out = in.targets(corruption.targetLength(batch.length()), pad);
      return LabelledBatch.of(in, out.tokens(), out.weights(), new float[0], out.mask());
    }
  }

  /**
   * Guess the tokens that Google's FlaxBERT would replace in an evaluation: which ones is drawn by
   * JAX's legacy threefry from the sum of all ids of the batch, padding included. So it depends on
   * how sequences are batched and padded; seed and step change nothing.
   *
   * @see <a
   *     href="https://github.com/google-research/google-research/blob/master/protein_lm/models.py">preprocess_masked</a>
   */
  record GoogleMaskedLanguageModel(Masking masking) implements Objective {
    @Override
    public LabelledBatch label(TokenBatch batch, Vocabulary vocabulary, long seed, long step) {
      PerformerException.require(
          vocabulary.mask().isPresent() && vocabulary.pad().isPresent(),
          "the masks of Google's protein_lm need a vocabulary with a mask token and padding");
      int[] tokens = batch.tokens();
      int sum = Arrays.stream(tokens).sum(); // of int32, as in JAX
      int[] ordinary = vocabulary.ordinaryIds();
      Threefry[] first = Threefry.ofSeed(Threefry.Stream.LEGACY, sum).split(2);
      boolean[] chosen = first[1].bernoulli((float) masking.rate(), tokens.length);
      Threefry[] second = first[0].split(2);
      int[] replacements = second[1].randint(0, ordinary.length, tokens.length);
      float[] fates = second[0].uniform(tokens.length);
      int[] inputs = tokens.clone();
      float[] weights = new float[tokens.length];
      for (int i = 0; i < tokens.length; i++) {
        if (!chosen[i] || tokens[i] == vocabulary.pad().getAsInt()) {
          continue;
        }
        weights[i] = 1;
        if (fates[i] < (float) masking.mask()) {
          inputs[i] = vocabulary.mask().getAsInt();
        } else if (fates[i] < (float) (masking.mask() + masking.random())) {
          inputs[i] = ordinary[replacements[i]];
        }
      }
      return LabelledBatch.of(batch, inputs, tokens, weights);
    }
  }
}
