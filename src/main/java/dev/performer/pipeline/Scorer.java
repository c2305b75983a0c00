package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureRunner;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Log-likelihoods of tokens, in nats, from a language model's logits.
 *
 * <p>Causal models: of each token given those before it; where the model does not shift its inputs
 * itself, nothing stands before the first token, which counts nothing. Masked models: of each token
 * given all others, with the mask in its place (pseudo-likelihood, <a
 * href="https://arxiv.org/abs/1910.14659">Salazar et al. 2020</a>); special tokens, which are never
 * guessed in training, count nothing. Texts are scored as models see them in training, the end
 * token included where they ended with one; the SavedModel's signature {@code score} takes ids as
 * they come. Safe for use by several threads.
 */
public final class Scorer implements AutoCloseable {
  /** Logits of a run at most, in bytes: memory does not grow with the square of the length. */
  private static final long MOST_BYTES = 64 << 20;

  private static final int BATCH = 8;

  private final LanguageModelSpec model;
  private final Vocabulary vocabulary;
  private final TokenInput.Runner runner;
  private final Optional<SavedModelPredictor> owned;

  private Scorer(
      LanguageModelSpec model, SignatureRunner loaded, Optional<SavedModelPredictor> owned) {
    this.model = model;
    this.owned = owned;
    vocabulary = model.vocabulary();
    runner = new TokenInput.Runner(loaded, model.input());
  }

  /** Loads {@link Model#open(Path)}. @throws PerformerException if it is no language model */
  public static Scorer load(Path model) {
    return load(Model.open(model));
  }

  /** Loads a model. @throws PerformerException if it is no language model */
  public static Scorer load(Model model) {
    return load(model.languageModel());
  }

  /** Loads a model that is used in a way of its own. */
  public static Scorer load(LanguageModelSpec model) {
    model.requireMaskToken();
    var loaded = SavedModelPredictor.load(model.input().model());
    return new Scorer(model, loaded, Optional.of(loaded));
  }

  /** On a model that is loaded, and stays the caller's. */
  public static Scorer of(Predictor loaded) {
    LanguageModelSpec model = loaded.languageModel();
    model.requireMaskToken();
    return new Scorer(model, loaded.runner(), Optional.empty());
  }

  /** How the model takes sequences, and reads them from files. */
  public TokenInput input() {
    return runner.input();
  }

  /** The log-likelihood of each id of a sequence, 0 where it does not count, and how many count. */
  public record Score(double[] tokens, int counted) {
    /** The sum over all tokens that count, in nats. */
    public double sum() {
      return Arrays.stream(tokens).sum();
    }

    /** NaN where no token counts. */
    public double mean() {
      return counted == 0 ? Double.NaN : sum() / counted;
    }

    public double perplexity() {
      return Math.exp(-mean());
    }
  }

  /** A token as the vocabulary writes it, and the probability that it stands at a place. */
  public record Guess(String token, double probability) {}

  /** Scores a text. */
  public Score score(String text) {
    return score(List.of(text)).get(0);
  }

  /** Scores texts, in their order. */
  public List<Score> score(List<String> texts) {
    return score(input().encode(texts), BATCH);
  }

  /** Tokens of a sequence to guess, {@code first} to {@code end - 1}, in one run of the model. */
  private record Guessed(int sequence, int first, int end) {}

  /**
   * Scores sequences, in their order.
   *
   * @param batch sequences that run at a time at most
   * @throws PerformerException if one has a token id that the vocabulary lacks
   */
  public List<Score> score(TokenizedSequences sequences, int batch) {
    return score(sequences, batch, () -> {});
  }

  /** The same. @param turn runs before each run of the model; what it throws ends all */
  public List<Score> score(TokenizedSequences sequences, int batch, Runnable turn) {
    try {
      requireKnown(sequences.ids());
    } catch (PerformerException e) {
      throw e.in(sequences.source());
    }
    return score(sequences.encodings(), 0, batch, turn);
  }

  /** The same, padded to a length at least. */
  List<Score> score(List<Tokenizer.Encoding> sequences, int length, int batch, Runnable turn) {
    List<int[]> ids = sequences.stream().map(Tokenizer.Encoding::ids).toList();
    requireKnown(ids);
    List<Guessed> all = guessed(sequences);
    int shift = model.isCausal() && !model.shiftsInputs() ? 1 : 0;
    List<double[]> tokens = ids.stream().map(row -> new double[row.length]).toList();
    int[] counted = new int[ids.size()];
    for (int next = 0; next < all.size(); ) {
      turn.run();
      int longest = Math.max(length, ids.get(all.get(next).sequence).length);
      int rows = rows(longest, batch);
      List<Guessed> part = all.subList(next, Math.min(all.size(), next + rows));
      Logits logits = run(part.stream().map(guessed -> given(guessed, ids)).toList(), length);
      for (int r = 0; r < part.size(); r++) {
        Guessed guessed = part.get(r);
        int[] right = ids.get(guessed.sequence);
        for (int i = guessed.first; i < guessed.end; i++) {
          if (input().isReal(right[i])) {
            tokens.get(guessed.sequence)[i] = logits.logProbability(r, i - shift, right[i]);
            counted[guessed.sequence]++;
          }
        }
      }
      next += part.size();
    }
    return IntStream.range(0, counted.length)
        .mapToObj(s -> new Score(tokens.get(s), counted[s]))
        .toList();
  }

  /**
   * What a masked model takes a hidden token for.
   *
   * @param position of the token that is hidden, counted among the text's own tokens from 0
   * @return so many guesses at most, first the likeliest
   * @throws PerformerException if the model is causal, or there is no such token
   */
  public List<Guess> guesses(String text, int position, int count) {
    String causal = "%s: is a causal model, which guesses no token in the middle";
    require(!model.isCausal(), causal, model.model().path());
    Tokenizer.Encoding encoding = input().encode(List.of(text)).encodings().get(0);
    int own = encoding.end() - encoding.start();
    boolean isThere = position >= 0 && position < own;
    require(isThere, "the text has %d tokens, so none at position %d", own, position);
    int place = encoding.start() + position;
    var hidden = given(new Guessed(0, place, place + 1), List.of(encoding.ids()));
    Logits logits = run(List.of(hidden), 0);
    List<String> tokens = vocabulary.tokens();
    return IntStream.range(0, Math.min(tokens.size(), logits.size()))
        .mapToObj(id -> new Guess(tokens.get(id), Math.exp(logits.logProbability(0, place, id))))
        .sorted(Comparator.comparingDouble(guess -> -guess.probability()))
        .limit(count)
        .toList();
  }

  /**
   * What it gives for many rows; it stays usable as long as this.
   *
   * @param perToken whether tables have the log-likelihood of each token, too
   */
  public RowModel rows(boolean perToken) {
    return new ScoredRows(this, model, perToken);
  }

  private void requireKnown(List<int[]> sequences) {
    int largest = sequences.stream().flatMapToInt(Arrays::stream).max().orElse(0);
    String text = "token id %d is not in the vocabulary, which has %d";
    require(largest < vocabulary.size(), text, largest, vocabulary.size());
  }

  /** Causal models guess all tokens of a sequence at once, masked ones each on its own. */
  private List<Guessed> guessed(List<Tokenizer.Encoding> sequences) {
    boolean isEndLearnt = model.model().card().map(ModelCard::learntEnd).orElse(true);
    List<Guessed> all = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      Tokenizer.Encoding encoding = sequences.get(s);
      if (model.isCausal()) {
        int end = isEndLearnt ? encoding.ids().length : encoding.end();
        all.add(new Guessed(s, model.shiftsInputs() ? 0 : 1, end));
        continue;
      }
      for (int i = encoding.start(); i < encoding.end(); i++) {
        if (!vocabulary.isSpecial(encoding.ids()[i])) {
          all.add(new Guessed(s, i, i + 1));
        }
      }
    }
    return all;
  }

  /** What the model sees: a masked one a mask in place of what it is to guess. */
  private int[] given(Guessed guessed, List<int[]> sequences) {
    int[] ids = sequences.get(guessed.sequence);
    if (model.isCausal()) {
      return ids;
    }
    int[] hidden = ids.clone();
    hidden[guessed.first] = vocabulary.mask().orElseThrow();
    return hidden;
  }

  private int rows(int length, int batch) {
    long bytes = 4L * input().length(length) * vocabulary.size();
    return input().rows((int) Math.max(1, Math.min(batch, MOST_BYTES / bytes)));
  }

  private Logits run(List<int[]> rows, int least) {
    int length = input().length(Math.max(least, TokenInput.Runner.longest(rows)));
    String name = model.tensors().logits();
    NpyArray logits = runner.run(rows, length, List.of(name)).get(name);
    if (logits == null || logits.shape().length != 3 || logits.shape()[1] != length) {
      String expected = "the output %s is %s; expected logits [B, L, vocabulary] of each token";
      throw new PerformerException(expected.formatted(name, logits)).settledBy("logits");
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

  /** Frees the model that was loaded for it. */
  @Override
  public void close() {
    owned.ifPresent(SavedModelPredictor::close);
  }
}
