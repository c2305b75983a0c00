package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.chart.HeatMap;
import dev.performer.data.Row;
import dev.performer.data.RowSource;
import dev.performer.data.TextEncoder;
import dev.performer.data.TokenizedSequences;
import dev.performer.data.Tokenizer;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.study.ModelAttention;
import dev.performer.study.ModelAttention.Wanted;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * What each token attends to, in every layer and head of a model that was built here: the matrix
 * that mixes values, which linear attention never computes, row by row in memory linear in the
 * length.
 *
 * <pre>{@code
 * try (AttentionMaps maps = AttentionMaps.load(Path.of("model"))) {
 *   AttentionMap map = maps.of("MKTAYIAKQR");
 *   float[] row = map.row(0, 2, 5); // layer 0, head 2: what position 5 attends to
 *   map.sources(0, 2, 5).forEach(System.out::println); // the most of it
 * }
 * }</pre>
 *
 * <p>For one thread. Of a model with a decoder it is the encoder.
 */
public final class AttentionMaps implements AutoCloseable {
  private static final long MOST_NUMBERS = 1 << 27; // of rows that are kept

  private final TokenInput input;
  private final PerformerConfig config;
  private final Options options;
  private final ModelAttention attention;

  /**
   * What is looked for.
   *
   * @param top sources of a query that are listed
   * @param layers their numbers; empty for all
   * @param rows positions of queries whose rows are kept, negative ones from the end; null for all
   *     of sequences of up to {@value HeatMap#MOST} positions, and none of longer ones
   * @param length tokens of a sequence at most; null for what the model takes, or {@value
   *     TokenInput#DEFAULT_LENGTH}
   */
  public record Options(int top, Set<Integer> layers, List<Integer> rows, Integer length) {
    /** Five sources, all layers. */
    public static final Options DEFAULT = new Options(5, Set.of(), null, null);

    /** Checks the numbers. */
    public Options {
      require(top >= 1, "at least 1 source is listed, not %d", top);
      require(length == null || length >= 1, "a sequence has at least 1 token, not %s", length);
      layers = Set.copyOf(layers);
      rows = rows == null ? null : List.copyOf(rows);
    }
  }

  private AttentionMaps(TokenInput input, PerformerModels.Saved model, Options options) {
    this.input = input;
    if (options.length() != null) {
      input.requireLength(options.length());
    }
    this.options = options;
    config = model.config();
    String none = "%s: has no layer %s; its layers are 0 to %d";
    for (int layer : options.layers()) {
      boolean isLayer = layer >= 0 && layer < config.layers();
      require(isLayer, none, input.model(), layer, config.layers() - 1);
    }
    int longest = front() + input.length(length());
    attention = new ModelAttention(model, longest, options.top());
  }

  /** Loads a model. */
  public static AttentionMaps load(Path model) {
    return load(Model.open(model), Options.DEFAULT, false);
  }

  /**
   * The same with options.
   *
   * @param idsOnly whether sequences come as ids, which then need no meaning
   * @throws PerformerException if the model was not built here, or the meaning of its ids is not
   *     known
   */
  public static AttentionMaps load(Model model, Options options, boolean idsOnly) {
    var saved = PerformerModels.load(model.path());
    return new AttentionMaps(model.input(idsOnly), saved, options);
  }

  private int length() {
    int usual = Math.min(TokenInput.DEFAULT_LENGTH, input.limit());
    return options.length() == null ? usual : options.length();
  }

  private int front() {
    return config.classToken() ? 1 : 0;
  }

  /** How the model takes sequences. */
  public TokenInput input() {
    return input;
  }

  /**
   * Reads the first sequences of files, folders and patterns, as {@link RowSource#of} takes them.
   *
   * @throws PerformerException if there is none, or one of them cannot be used
   */
  public TokenizedSequences read(List<Path> places, RowSource.Columns columns, int most) {
    Tokenizer tokenizer = input.tokenizer();
    RowSource source = RowSource.of(places, columns, tokenizer.vocabulary().pad());
    TextEncoder encoder = tokenizer.encoder();
    List<String> names = new ArrayList<>();
    List<Tokenizer.Encoding> encodings = new ArrayList<>();
    try (RowSource.Rows rows = source.open(0)) {
      for (Row row = rows.next(); row != null && names.size() < most; row = rows.next()) {
        require(row.fault() == null, "%s", row.fault());
        int[] ids = row.ids();
        int kept = ids == null ? 0 : Math.min(ids.length, length());
        encodings.add(
            ids == null
                ? tokenizer.framed(encoder.encode(row.text()), length())
                : new Tokenizer.Encoding(Arrays.copyOf(ids, kept), 0, kept, ids.length - kept));
        names.add(row.name());
      }
    }
    return TokenizedSequences.of(source.name(), names, encodings, encoder.report(), length());
  }

  /** Of a text, which is cropped where it is too long. */
  public AttentionMap of(String text) {
    var texts = TokenizedSequences.of(List.of(text), input.tokenizer(), length());
    return of("1", texts.ids().get(0));
  }

  /**
   * Of a sequence.
   *
   * @param name by which it is called
   * @throws PerformerException if an id is no token, or the sequence is empty or too long
   */
  public AttentionMap of(String name, int[] ids) {
    require(ids.length > 0, "sequence %s has no token", name);
    require(ids.length <= length(), "sequence %s has more than %d tokens", name, length());
    int size = config.vocabularySize();
    String unknown = "sequence %s has the token id %d; the model knows 0 to %d";
    IntStream.of(ids).forEach(id -> require(id >= 0 && id < size, unknown, name, id, size - 1));
    var pad = input.tokenizer().vocabulary().pad();
    int[] padded = Arrays.copyOf(ids, input.length(ids.length));
    Arrays.fill(padded, ids.length, padded.length, pad.orElse(0));
    int[] positions = positions(padded);
    var layers = new TreeSet<>(options.layers());
    if (layers.isEmpty()) {
      IntStream.range(0, config.layers()).forEach(layers::add);
    }
    int[] kept = kept(front() + ids.length, positions.length);
    long numbers = (long) kept.length * positions.length * config.heads() * layers.size();
    String many = "%d rows of %d layers with %d heads are too much at once; choose fewer of them";
    boolean fits = numbers <= MOST_NUMBERS;
    require(fits, many, kept.length, layers.size(), config.heads());
    var heads =
        attention.of(padded, ids.length, pad.orElse(-1), new Wanted(options.top(), layers, kept));
    var tokens = input.tokenizer().vocabulary().tokens();
    List<String> labels =
        IntStream.of(positions)
            .mapToObj(id -> id < 0 ? "<class>" : id < tokens.size() ? tokens.get(id) : "" + id)
            .toList();
    int length = front() + ids.length;
    int top = Math.min(options.top(), positions.length);
    return new AttentionMap(name, positions, labels, length, top, kept, heads);
  }

  /** What the stack reads at each position: shifted ids, or -1 for a class token in front. */
  private int[] positions(int[] ids) {
    boolean shifts = config.shiftBos() != null && !config.task().hasDecoder();
    int[] read = new int[front() + ids.length];
    System.arraycopy(ids, 0, read, front() + (shifts ? 1 : 0), ids.length - (shifts ? 1 : 0));
    if (front() == 1) {
      read[0] = -1;
    }
    if (shifts) {
      read[front()] = config.shiftBos();
    }
    return read;
  }

  private int[] kept(int queries, int keys) {
    if (options.rows() == null) {
      return IntStream.range(0, keys <= HeatMap.MOST ? queries : 0).toArray();
    }
    String none = "there is no position %d in a sequence of %d";
    for (int row : options.rows()) {
      require(row >= -queries && row < queries, none, row, queries);
    }
    var rows = options.rows().stream().mapToInt(row -> Math.floorMod(row, queries));
    return rows.sorted().distinct().toArray();
  }

  /** Frees the model. */
  @Override
  public void close() {
    attention.close();
  }
}
