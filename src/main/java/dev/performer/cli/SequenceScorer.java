package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import java.util.ArrayList;
import java.util.List;

/**
 * Log-likelihoods of tokens, in nats, from a language model's logits.
 *
 * <p>Causal models: of each token given those before it; where the model does not shift its inputs
 * itself, nothing stands before the first token, which counts nothing. Masked models: of each token
 * given all others, with the mask in its place (pseudo-likelihood, <a
 * href="https://arxiv.org/abs/1910.14659">Salazar et al. 2020</a>); special tokens, which are never
 * guessed in training, count nothing.
 */
final class SequenceScorer {
  /** Logits of a run at most, in bytes: memory does not grow with the square of the length. */
  private static final long MOST_BYTES = 64 << 20;

  private final SequenceRunner runner;
  private final ModelCard.LanguageModel tensors;
  private final Vocabulary vocabulary;
  private final boolean shiftsInputs;
  private final int batch;

  SequenceScorer(
      SequenceRunner runner, LanguageModelOptions.Resolved model, boolean shiftsInputs, int batch) {
    this.runner = runner;
    this.tensors = model.tensors();
    this.vocabulary = model.vocabulary();
    this.shiftsInputs = shiftsInputs;
    this.batch = batch;
    if (!isCausal() && vocabulary.mask().isEmpty()) {
      throw new PerformerException(
          model.directory().path()
              + ": the vocabulary has no mask token, which masked-lm needs; give --objective"
              + " causal-lm or another --vocabulary");
    }
  }

  /**
   * What a sequence scores.
   *
   * @param tokens log-likelihood of each id; 0 where it does not count
   * @param counted how many ids count
   */
  record Score(double[] tokens, int counted) {
    /** The sum over all tokens that count, in nats. */
    double sum() {
      double sum = 0;
      for (double token : tokens) {
        sum += token;
      }
      return sum;
    }

    /** NaN where no token counts. */
    double mean() {
      return counted == 0 ? Double.NaN : sum() / counted;
    }

    double perplexity() {
      return Math.exp(-mean());
    }
  }

  List<Score> score(TokenizedSequences sequences) {
    requireKnown(sequences);
    return isCausal() ? causal(sequences.ids()) : masked(sequences.encodings());
  }

  private boolean isCausal() {
    return tensors.objective() == ModelCard.Objective.CAUSAL_LM;
  }

  private void requireKnown(TokenizedSequences sequences) {
    for (int[] ids : sequences.ids()) {
      for (int id : ids) {
        if (id >= vocabulary.size()) {
          throw new PerformerException(
              sequences.source()
                  + ": token id "
                  + id
                  + " is not in the vocabulary, which has "
                  + vocabulary.size());
        }
      }
    }
  }

  private List<Score> causal(List<int[]> sequences) {
    List<Score> scores = new ArrayList<>();
    for (int first = 0; first < sequences.size(); ) {
      int rows = rows(sequences.get(first).length, sequences.size() - first);
      List<int[]> part = sequences.subList(first, first + rows);
      int length = runner.length(longest(part));
      Logits logits = run(part, length);
      for (int r = 0; r < rows; r++) {
        int[] ids = part.get(r);
        double[] tokens = new double[ids.length];
        int counted = 0;
        int start = shiftsInputs ? 0 : 1;
        for (int i = start; i < ids.length; i++) {
          if (runner.isReal(ids[i])) {
            tokens[i] = logits.logProbability(r, i - start, ids[i]);
            counted++;
          }
        }
        scores.add(new Score(tokens, counted));
      }
      first += rows;
    }
    return scores;
  }

  /** A sequence with a mask at one place. */
  private record Hidden(int sequence, int position) {}

  private List<Score> masked(List<Tokenizer.Encoding> sequences) {
    List<double[]> tokens = new ArrayList<>();
    List<Hidden> all = new ArrayList<>();
    int[] counted = new int[sequences.size()];
    for (int s = 0; s < sequences.size(); s++) {
      Tokenizer.Encoding encoding = sequences.get(s);
      tokens.add(new double[encoding.ids().length]);
      for (int i = encoding.start(); i < encoding.end(); i++) {
        if (!vocabulary.isSpecial(encoding.ids()[i])) {
          all.add(new Hidden(s, i));
          counted[s]++;
        }
      }
    }
    for (int first = 0; first < all.size(); ) {
      int width = sequences.get(all.get(first).sequence).ids().length;
      List<Hidden> part = all.subList(first, first + rows(width, all.size() - first));
      List<int[]> rows = part.stream().map(h -> hide(sequences, h)).toList();
      Logits logits = run(rows, runner.length(longest(rows)));
      for (int r = 0; r < part.size(); r++) {
        Hidden hidden = part.get(r);
        int id = sequences.get(hidden.sequence).ids()[hidden.position];
        tokens.get(hidden.sequence)[hidden.position] =
            logits.logProbability(r, hidden.position, id);
      }
      first += part.size();
    }
    List<Score> scores = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      scores.add(new Score(tokens.get(s), counted[s]));
    }
    return scores;
  }

  private int[] hide(List<Tokenizer.Encoding> sequences, Hidden hidden) {
    int[] ids = sequences.get(hidden.sequence).ids().clone();
    ids[hidden.position] = vocabulary.mask().orElseThrow();
    return ids;
  }

  private static int longest(List<int[]> rows) {
    return rows.stream().mapToInt(row -> row.length).max().orElseThrow();
  }

  private int rows(int length, int left) {
    long bytes = 4L * Math.max(1, runner.length(length)) * vocabulary.size();
    int most = (int) Math.max(1, Math.min(batch, MOST_BYTES / bytes));
    return Math.min(left, runner.rows(most));
  }

  private Logits run(List<int[]> rows, int length) {
    NpyArray logits = runner.run(rows, length).get(tensors.logits());
    if (logits == null || logits.shape().length != 3 || logits.shape()[1] != length) {
      throw new PerformerException(
          "the output "
              + tensors.logits()
              + " is "
              + logits
              + "; expected logits [B, L, vocabulary] of each token (--logits)");
    }
    return new Logits(logits.floats(), length, (int) logits.shape()[2]);
  }

  /** {@code [B, L, V]}. */
  private record Logits(float[] values, int length, int size) {
    double logProbability(int row, int position, int id) {
      int from = (row * length + position) * size;
      double max = Double.NEGATIVE_INFINITY;
      for (int v = 0; v < size; v++) {
        max = Math.max(max, values[from + v]);
      }
      double sum = 0;
      for (int v = 0; v < size; v++) {
        sum += Math.exp(values[from + v] - max);
      }
      return values[from + id] - max - Math.log(sum);
    }
  }
}
