package dev.performer.savedmodel;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.ModelCard.Vocabulary;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.tensorflow.proto.DataType;

/**
 * Small inputs that the signatures of a model run on: rows of ordinary tokens, all of them real;
 * states are those that another signature gave.
 */
public final class SampleInputs {
  private static final long LENGTH = 8;

  private final SavedModelPredictor predictor;
  private final int token;
  private final long rows;
  private final long longest;
  private final Map<String, NpyArray> given = new LinkedHashMap<>();
  private final Map<String, Map<String, NpyArray>> samples = new TreeMap<>();
  private final List<String> failures = new ArrayList<>();

  private SampleInputs(SavedModelPredictor predictor, ModelCard card, long rows, long length) {
    this.predictor = predictor;
    this.rows = rows;
    token = ordinary(card == null ? null : card.vocabulary());
    var lm = card == null ? null : card.languageModel();
    Integer limit = lm == null ? null : lm.maxLength();
    longest = limit == null ? length : Math.min(length, Math.max(1, limit - 1));
    // What gives states has fewer inputs than what takes them.
    var signatures = predictor.directory().signatures().values().stream();
    signatures.sorted(Comparator.comparingInt(s -> s.inputs().size())).forEach(this::run);
  }

  /** Loads a model and runs all its signatures, on one row. */
  public static SampleInputs of(SavedModelDirectory model) {
    return of(model, 1, LENGTH);
  }

  /** The same with sizes of those dimensions that are open; shorter where the model ends before. */
  public static SampleInputs of(SavedModelDirectory model, long rows, long length) {
    try (var predictor = SavedModelPredictor.load(model, SavedModelPredictor.TIMEOUT)) {
      return new SampleInputs(predictor, ModelCard.read(model.path()).orElse(null), rows, length);
    }
  }

  /** Inputs by signature, of those that ran. */
  public Map<String, Map<String, NpyArray>> samples() {
    return samples;
  }

  /** One line for each signature that did not run. */
  public List<String> failures() {
    return failures;
  }

  private static int ordinary(Vocabulary words) {
    List<Integer> special =
        words == null
            ? List.of(0)
            : Stream.of(words.padId(), words.maskId(), words.bosId(), words.eosId())
                .filter(Objects::nonNull)
                .toList();
    return IntStream.iterate(0, id -> id + 1)
        .filter(id -> !special.contains(id))
        .findFirst()
        .orElse(1);
  }

  private void run(SignatureSpec signature) {
    try {
      Map<String, NpyArray> inputs = new LinkedHashMap<>();
      signature.inputs().forEach((name, spec) -> inputs.put(name, value(signature, spec)));
      var outputs = predictor.predict(signature.name(), inputs);
      samples.put(signature.name(), inputs);
      given.putAll(outputs);
    } catch (PerformerException e) {
      failures.add(e.getMessage());
    }
  }

  private NpyArray value(SignatureSpec signature, TensorSpec input) {
    NpyArray state = given.get(input.name());
    boolean isState = signature.outputs().containsKey(input.name());
    if (isState && state != null) {
      return state;
    }
    // Options of generate are one number, or one for each row.
    boolean isOption = signature.name().equals(PerformerSignatures.GENERATE);
    long[] anyRank = isOption ? new long[0] : new long[] {-1, -1};
    long[] open = input.shape().isUnknown() ? anyRank : input.shape().asArray();
    long[] shape = open.clone();
    for (int axis = 0; axis < open.length; axis++) {
      shape[axis] = open[axis] >= 0 ? open[axis] : axis == 0 ? rows : longest;
    }
    int size = Math.toIntExact(LongStream.of(shape).reduce(1, Math::multiplyExact));
    if (input.type() == DataType.DT_STRING) {
      return NpyArray.of(Collections.nCopies(size, new byte[0]), shape);
    }
    if (input.type() == DataType.DT_BOOL) {
      byte[] values = new byte[size];
      Arrays.fill(values, (byte) (InputFeed.isMask(input) ? 1 : 0));
      return new NpyArray(NpyType.BOOL, shape, values);
    }
    if (input.isFloat()) {
      float[] values = new float[size];
      Arrays.fill(values, shape.length == 0 || InputFeed.isMask(input) ? 1 : 0.5f);
      return NpyArray.of(values, shape);
    }
    int[] values = new int[size];
    Arrays.fill(values, shape.length == 0 ? 1 : token);
    if (input.name().equals(PerformerSignatures.POSITION)) {
      Arrays.fill(values, (int) longest);
    } else if (shape.length == 2 || shape.length == 1) {
      int first = Math.toIntExact(shape[0]);
      int length = Math.toIntExact(shape.length == 2 ? shape[1] : tokensOf(signature));
      int[] real = new int[first * length];
      Arrays.fill(real, 1);
      InputFeed feed = InputFeed.of(input);
      boolean isZero = feed == InputFeed.ZEROS && !InputFeed.mayBeTokens(input);
      boolean isTokens = feed == InputFeed.ZEROS && !isZero;
      values = isTokens ? values : feed.values(input, real, first, length);
    }
    return NpyArray.of(values, shape);
  }

  /** Tokens of a row, which a signature may fix. */
  private long tokensOf(SignatureSpec signature) {
    return signature.inputs().values().stream()
        .filter(input -> !input.isFloat() && input.shape().numDimensions() == 2)
        .mapToLong(input -> input.shape().get(1))
        .filter(length -> length > 0)
        .findFirst()
        .orElse(longest);
  }
}
