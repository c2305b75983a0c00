package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Log-likelihoods of tokens, in nats, from a language model's logits.
 *
 * <pre>{@code
 * try (Scorer scorer = Scorer.load(Path.of("lm"))) {
 *   for (Scorer.Score score : scorer.score(List.of("MKTAYIAKQR", "MKVLAAGIVG"))) {
 *     System.out.println(score.sum() + " nats, perplexity " + score.perplexity());
 *   }
 * }
 * }</pre>
 *
 * <p>Causal models: of each token given those before it; where the model does not shift its inputs
 * itself, nothing stands before the first token, which counts nothing. Masked models: of each token
 * given all others, with the mask in its place (pseudo-likelihood, <a
 * href="https://arxiv.org/abs/1910.14659">Salazar et al. 2020</a>); special tokens, which are never
 * guessed in training, count nothing. Texts are scored as models see them in training, the end
 * token included; the SavedModel's signature {@code score} takes ids as they come.
 *
 * <p>Safe for use by several threads.
 */
public final class Scorer implements AutoCloseable {
  /** Logits of a run at most, in bytes: memory does not grow with the square of the length. */
  private static final long MOST_BYTES = 64 << 20;

  private static final int BATCH = 8;

  private final LanguageModelSpec model;
  private final TokenInput input;
  private final SavedModelPredictor predictor;
  private final TokenRunner runner;

  private Scorer(LanguageModelSpec model) {
    model.requireMaskToken();
    this.model = model;
    input = model.input();
    predictor = SavedModelPredictor.load(model.model().path());
    runner = new TokenRunner(predictor, input);
  }

  /**
   * Loads a model.
   *
   * @param model as {@link Model#open(Path)} takes it
   * @throws PerformerException if it is no language model
   */
  public static Scorer load(Path model) {
    return load(Model.open(model).languageModel());
  }

  /** Loads a model. @throws PerformerException if it is no language model */
  public static Scorer load(Model model) {
    return load(model.languageModel());
  }

  /** Loads a model that is used in a way of its own. */
  public static Scorer load(LanguageModelSpec model) {
    return new Scorer(model);
  }

  /** How the model takes sequences, and reads them from files. */
  public TokenInput input() {
    return input;
  }

  /**
   * What a sequence scores.
   *
   * @param tokens log-likelihood of each id; 0 where it does not count
   * @param counted how many ids count
   */
  public record Score(double[] tokens, int counted) {
    /** The sum over all tokens that count, in nats. */
    public double sum() {
      double sum = 0;
      for (double token : tokens) {
        sum += token;
      }
      return sum;
    }

    /** NaN where no token counts. */
    public double mean() {
      return counted == 0 ? Double.NaN : sum() / counted;
    }

    public double perplexity() {
      return Math.exp(-mean());
    }
  }

  /**
   * A token that could stand at a place.
   *
   * @param token as the vocabulary writes it
   * @param probability that the model gives it there
   */
  public record Guess(String token, double probability) {}

  /** Scores a text. */
  public Score score(String text) {
    return score(List.of(text)).get(0);
  }

  /** Scores texts, in their order. */
  public List<Score> score(List<String> texts) {
    return score(input.encode(texts), BATCH);
  }

  /**
   * Scores sequences, in their order.
   *
   * @param batch sequences that run at a time at most
   * @throws PerformerException if one has a token id that the vocabulary lacks
   */
  public List<Score> score(TokenizedSequences sequences, int batch) {
    requireKnown(sequences);
    return model.isCausal() ? causal(sequences.ids(), batch) : masked(sequences.encodings(), batch);
  }

  /**
   * What a masked model takes a hidden token for.
   *
   * @param text the whole text
   * @param position of the token that is hidden, counted among the text's own tokens from 0
   * @param count how many guesses
   * @return the likeliest ones, first the likeliest
   * @throws PerformerException if the model is causal, or there is no such token
   */
  public List<Guess> guesses(String text, int position, int count) {
    if (model.isCausal()) {
      throw new PerformerException(
          model.model().path() + ": is a causal model, which guesses no token in the middle");
    }
    Tokenizer.Encoding encoding = input.encode(List.of(text)).encodings().get(0);
    if (position < 0 || position >= encoding.end() - encoding.start()) {
      throw new PerformerException(
          "the text has %d tokens, so none at position %d"
              .formatted(encoding.end() - encoding.start(), position));
    }
    int place = encoding.start() + position;
    int[] ids = encoding.ids().clone();
    ids[place] = vocabulary().mask().orElseThrow();
    Logits logits = run(List.of(ids), input.length(ids.length));
    List<String> tokens = vocabulary().tokens();
    return IntStream.range(0, Math.min(tokens.size(), logits.size()))
        .mapToObj(id -> new Guess(tokens.get(id), Math.exp(logits.logProbability(0, place, id))))
        .sorted(Comparator.comparingDouble((Guess guess) -> -guess.probability()))
        .limit(count)
        .toList();
  }

  /** Arrays 'tokens' [N, L] and 'lengths' [N] of sequences. */
  public Map<String, NpyArray> arrays(TokenizedSequences sequences) {
    return runner.arrays(sequences, sequences.longest());
  }

  private Vocabulary vocabulary() {
    return model.vocabulary();
  }

  private void requireKnown(TokenizedSequences sequences) {
    for (int[] ids : sequences.ids()) {
      for (int id : ids) {
        if (id >= vocabulary().size()) {
          throw new PerformerException(
              "%s: token id %d is not in the vocabulary, which has %d"
                  .formatted(sequences.source(), id, vocabulary().size()));
        }
      }
    }
  }

  private List<Score> causal(List<int[]> sequences, int batch) {
    List<Score> scores = new ArrayList<>();
    for (int first = 0; first < sequences.size(); ) {
      int rows = rows(sequences.get(first).length, sequences.size() - first, batch);
      List<int[]> part = sequences.subList(first, first + rows);
      int length = input.length(TokenRunner.longest(part));
      Logits logits = run(part, length);
      for (int r = 0; r < rows; r++) {
        int[] ids = part.get(r);
        double[] tokens = new double[ids.length];
        int counted = 0;
        int start = model.shiftsInputs() ? 0 : 1;
        for (int i = start; i < ids.length; i++) {
          if (input.isReal(ids[i])) {
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

  private List<Score> masked(List<Tokenizer.Encoding> sequences, int batch) {
    List<double[]> tokens = new ArrayList<>();
    List<Hidden> all = new ArrayList<>();
    int[] counted = new int[sequences.size()];
    for (int s = 0; s < sequences.size(); s++) {
      Tokenizer.Encoding encoding = sequences.get(s);
      tokens.add(new double[encoding.ids().length]);
      for (int i = encoding.start(); i < encoding.end(); i++) {
        if (!vocabulary().isSpecial(encoding.ids()[i])) {
          all.add(new Hidden(s, i));
          counted[s]++;
        }
      }
    }
    for (int first = 0; first < all.size(); ) {
      int width = sequences.get(all.get(first).sequence).ids().length;
      List<Hidden> part = all.subList(first, first + rows(width, all.size() - first, batch));
      List<int[]> rows = part.stream().map(h -> hide(sequences, h)).toList();
      Logits logits = run(rows, input.length(TokenRunner.longest(rows)));
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
    ids[hidden.position] = vocabulary().mask().orElseThrow();
    return ids;
  }

  private int rows(int length, int left, int batch) {
    long bytes = 4L * Math.max(1, input.length(length)) * vocabulary().size();
    int most = (int) Math.max(1, Math.min(batch, MOST_BYTES / bytes));
    return Math.min(left, input.rows(most));
  }

  private Logits run(List<int[]> rows, int length) {
    String name = model.tensors().logits();
    NpyArray logits = runner.run(rows, length).get(name);
    if (logits == null || logits.shape().length != 3 || logits.shape()[1] != length) {
      throw new PerformerException(
              "the output %s is %s; expected logits [B, L, vocabulary] of each token"
                  .formatted(name, logits))
          .settledBy("logits");
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

  /** Frees the model. */
  @Override
  public void close() {
    predictor.close();
  }
}
