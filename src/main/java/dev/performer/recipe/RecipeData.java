package dev.performer.recipe;

import static dev.performer.PerformerException.require;
import static java.util.Objects.requireNonNullElse;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonValue;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.BatchSize;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.ExampleBatches;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.Packing;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.SpanCorruption;
import dev.performer.data.StreamBatches;
import dev.performer.data.StrictJson;
import dev.performer.data.TableFile;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.training.ModelTraining;
import dev.performer.training.Standardization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * The section {@code data} of a recipe; what is null there follows from other keys.
 *
 * @param train the file to learn from, may be gzipped; for PNG images a folder; none for exercises
 * @param validation the file to evaluate on; null holds back a twentieth of {@code train}
 * @param kind of both; null for what follows from the file's name
 * @param vocabulary {@code google-protein}, {@code pad-first-protein}, {@code letters:ABC…}, {@code
 *     bytes}, or a {@code tokenizer.json} or {@code vocab.txt}; null for google-protein, of a text
 *     bytes; images and exercises have their own
 * @param length tokens of a sequence at most; null for 512, of images all their pixels
 * @param bucket padded lengths are multiples of this; null for 64, or the length where all
 *     sequences have it
 * @param crop where a longer sequence is cut: anywhere, or from its start
 * @param begin whether the begin token comes first; null for whether images need one
 * @param end whether the end token comes last; null for whether the vocabulary has one, as {@code
 *     evaluate} does
 * @param window sequences within which order is random
 * @param masking what a masked language model guesses: {@code bert} or {@code protein-lm}
 * @param standardize the unit in which numbers are learnt; null for their mean and deviation in the
 *     training data. Only of a regression
 * @param spans what a sequence-to-sequence model has to write; null for T5's. Only of that task
 * @param format the keys that only data of this kind have; null while the kind is not known
 */
@JsonIgnoreProperties("format")
public record RecipeData(
    String train,
    String validation,
    Kind kind,
    String vocabulary,
    Integer length,
    Integer bucket,
    Crop crop,
    Boolean begin,
    Boolean end,
    int window,
    Masks masking,
    @JsonInclude(JsonInclude.Include.NON_NULL) Standardization standardize,
    @JsonInclude(JsonInclude.Include.NON_NULL) Spans spans,
    DataFormat format) {
  /** What a file holds. */
  public enum Kind {
    FASTA(new DataFormat.Fasta()),
    TEXT(new DataFormat.Text()),
    TABLE(new DataFormat.Table(null, null, null)),
    TFRECORD(new DataFormat.TfRecord(null, null)),
    PIXELS(new DataFormat.Pixels(null, null, null, 1)),
    /** Random symbols, and the same again. */
    COPY(new DataFormat.MadeUp(null)),
    /** Values by their keys. */
    RETRIEVAL(new DataFormat.MadeUp(null)),
    /** Nested lists under operations, and the digit that they come to. */
    LISTOPS(new DataFormat.MadeUp(null));

    private final DataFormat usual;

    Kind(DataFormat usual) {
      this.usual = usual;
    }

    /** Its own among the keys of a section that has all. */
    private DataFormat format(ObjectNode all, String source) {
      ObjectNode own = keys(usual);
      own.fields().forEachRemaining(field -> field.setValue(all.get(field.getKey())));
      return StrictJson.bind(own, usual.getClass(), source);
    }

    boolean isExercise() {
      return usual instanceof DataFormat.MadeUp;
    }

    /** Whether its tokens are its own. */
    boolean ownsTokens() {
      return isExercise() || this == PIXELS;
    }

    @JsonValue
    String label() {
      return name().toLowerCase(Locale.ROOT);
    }

    /** What follows from the name of a file. */
    static Kind of(String name) {
      String file = name.toLowerCase(Locale.ROOT).replaceFirst("\\.gz$", "");
      if (file.matches(".*\\.(fa|faa|fasta|fas)")) {
        return FASTA;
      } else if (TableFile.isNamed(Path.of(name))) {
        return TABLE;
      } else if (file.matches(".*\\.(tfrecord|tfrecords|tfrec)")) {
        return TFRECORD;
      }
      boolean isImages = file.matches(".*(\\.npz|[.-]idx3-ubyte)");
      return isImages || Files.isDirectory(Path.of(name)) ? PIXELS : TEXT;
    }
  }

  /** A longer sequence is cut anywhere, at another place each time, or its first tokens stay. */
  public enum Crop {
    @JsonProperty("random")
    RANDOM,
    @JsonProperty("start")
    START
  }

  /** Of 15 % of the tokens: 80 % mask, 10 % random, 10 % kept; or 10 %, 80 %, 10 %. */
  public enum Masks {
    @JsonProperty("bert")
    BERT,
    @JsonProperty("protein-lm")
    PROTEIN_LM;

    /** The numbers. */
    public Masking proportions() {
      return this == BERT ? Masking.BERT : Masking.PROTEIN_LM;
    }
  }

  /**
   * What a sequence-to-sequence model has to write: the spans that its encoder misses.
   *
   * @param rate share of the tokens that are missing
   * @param length mean tokens of a span
   * @param sentinels different sentinels; null for those of the vocabulary, or as many as the
   *     longest sequence takes, which are put behind a vocabulary that has none
   */
  public record Spans(Double rate, Double length, Integer sentinels) {
    /** Fills in T5's numbers and checks ranges. */
    public Spans {
      rate = requireNonNullElse(rate, SpanCorruption.DEFAULT_RATE);
      length = requireNonNullElse(length, SpanCorruption.DEFAULT_MEAN_SPAN);
      boolean isFit = rate > 0 && rate < 1 && length >= 1 && (sentinels == null || sentinels > 1);
      String text =
          "data.spans: rate must be between 0 and 1, length at least 1, sentinels at least 2: %s, %s, %s";
      require(isFit, text, rate, length, sentinels);
    }

    /** With the sentinels counted. @param longest tokens of a sequence at most */
    Spans resolved(Vocabulary vocabulary, int longest) {
      if (!SpanCorruption.hasSentinels(vocabulary)) {
        int needed = new SpanCorruption(rate, length, 0, longest + 1).spans(longest) + 1;
        return new Spans(rate, length, requireNonNullElse(sentinels, needed));
      }
      int own = SpanCorruption.of(vocabulary).sentinels();
      String text =
          "data.spans.sentinels is %d, but the vocabulary has %d of its own; leave it out";
      require(sentinels == null || sentinels == own, text, sentinels, own);
      return new Spans(rate, length, own);
    }

    /** The vocabulary with the sentinels that it lacks. */
    Vocabulary extended(Vocabulary vocabulary) {
      boolean hasOwn = SpanCorruption.hasSentinels(vocabulary);
      return hasOwn ? vocabulary : SpanCorruption.withSentinels(vocabulary, sentinels);
    }

    SpanCorruption corruption(Vocabulary extended) {
      SpanCorruption of = SpanCorruption.of(extended);
      return new SpanCorruption(rate, length, of.firstSentinel(), of.sentinels());
    }
  }

  static final String LABEL = "label";

  /** Before the keys of a recipe; all keys but those that are left out where they are null. */
  private static final ObjectNode DEFAULT = defaults();

  private static ObjectNode defaults() {
    ObjectNode own = JsonNodeFactory.instance.objectNode();
    own.put("crop", "random").put("window", Batching.DEFAULT_WINDOW).put("masking", "bert");
    ObjectNode keys = keys(StrictJson.bind(own, RecipeData.class, "data"));
    for (Kind kind : Kind.values()) {
      keys.setAll(keys(kind.usual));
    }
    return keys;
  }

  private static ObjectNode keys(Object section) {
    return (ObjectNode) StrictJson.tree(section);
  }

  /** Checks ranges. */
  public RecipeData {
    require(length == null || length > 1, "data.length must be at least 2, not %d", length);
    require(bucket == null || bucket > 0, "data.bucket must be at least 1, not %d", bucket);
    require(window > 0, "data.window must be at least 1, not %d", window);
  }

  /** Binds the keys of a section, over the defaults. */
  static RecipeData of(ObjectNode section, String source) {
    ObjectNode keys = DEFAULT.deepCopy();
    Set<String> known = new TreeSet<>(Set.of("standardize", "spans"));
    keys.fieldNames().forEachRemaining(known::add);
    Recipe.requireKnown(section, known, source);
    keys.setAll(section);
    ObjectNode common = keys.deepCopy();
    for (Kind each : Kind.values()) { // all, so that a wrong value is found whatever the kind
      each.format(keys, source);
      keys(each.usual).fieldNames().forEachRemaining(common::remove);
    }
    RecipeData data = StrictJson.bind(common, RecipeData.class, source);
    return data.kind == null ? data : data.in(data.kind.format(keys, source));
  }

  private RecipeData in(DataFormat own) {
    return new RecipeData(
        train,
        validation,
        kind,
        vocabulary,
        length,
        bucket,
        crop,
        begin,
        end,
        window,
        masking,
        standardize,
        spans,
        own);
  }

  /** All keys: {@link #of} gives an equal section back. */
  ObjectNode toJson() {
    ObjectNode all = DEFAULT.deepCopy();
    all.setAll(keys(this));
    all.put("text", DataDefaults.text(kind, vocabulary));
    return all.setAll(keys(format));
  }

  /** The same with other values. */
  RecipeData with(Consumer<ObjectNode> change) {
    ObjectNode keys = toJson();
    change.accept(keys);
    return of(keys, "data");
  }

  /** Whether a vocabulary is that of a file. */
  static boolean isFile(String vocabulary) {
    return vocabulary.matches(".*\\.(json|txt)");
  }

  /** The tokens, with the sentinels of spans. @throws PerformerException if the name is unknown */
  public Vocabulary tokens() {
    Vocabulary own = tokenizer().vocabulary();
    return spans == null ? own : spans.extended(own);
  }

  /** Between texts and tokens. @throws PerformerException if the name is unknown */
  public Tokenizer tokenizer() {
    if (kind.ownsTokens()) {
      return new LetterTokenizer(kind.label(), format.vocabulary(this));
    } else if (ByteTokenizer.isNamed(vocabulary)) {
      return ByteTokenizer.named(vocabulary);
    } else if (isFile(vocabulary)) {
      return JsonTokenizer.read(Path.of(vocabulary));
    }
    Vocabulary letters = ProteinVocabulary.named(vocabulary);
    boolean counted = spans != null && spans.sentinels != null;
    return new LetterTokenizer(vocabulary, counted ? spans.extended(letters) : letters);
  }

  /** Whether the end token stands behind examples, or between those that share a row. */
  boolean learnsEnd() {
    return end || format.packing(this).filter(row -> row.separator().isPresent()).isPresent();
  }

  /** Whether each sequence gets the end token; what is packed has it between texts instead. */
  boolean appendsEnd() {
    return end && format.packing(this).isEmpty();
  }

  /** Batches of training and evaluation, in an order and with crops that follow from a seed. */
  public ModelTraining.Data batches(BatchSize size, long seed) {
    boolean isRandom = crop == Crop.RANDOM;
    var training = new Batching(length, size, bucket, begin, appendsEnd(), true, isRandom, window);
    var parts = format.parts(this, seed);
    var packing = format.packing(this);
    return new ModelTraining.Data(
        new ExampleBatches(parts.train(), tokens(), training, packing, seed),
        new ExampleBatches(parts.validation(), tokens(), training.forEvaluation(), packing, seed));
  }

  /** The same as texts that batches of so many rows go through from end to end. */
  ModelTraining.Data streams(int rows) {
    RecipeData inOrder = with(keys -> keys.put("crop", "start")); // others overlap
    var parts = inOrder.format.parts(inOrder, 0);
    var ends = end ? tokens().eos() : OptionalInt.empty();
    var separator = format.packing(this).map(Packing::separator).orElse(ends);
    return new ModelTraining.Data(
        new StreamBatches(parts.train(), tokens(), separator, rows, length),
        new StreamBatches(parts.validation(), tokens(), separator, rows, length));
  }

  /** The column, feature or file of the labels; null for none. */
  public String label() {
    return format.label();
  }

  /** Sizes of what is made up; null of data in files. */
  public Exercise exercise() {
    return format instanceof DataFormat.MadeUp made ? made.exercise() : null;
  }

  /** The unit in which numbers are learnt. */
  Standardization unit() {
    return standardize == null ? Standardization.NONE : standardize;
  }

  /** Without the places of files, for a model's card: it has the tokenizer itself. */
  RecipeData withoutFiles() {
    return with(
        keys -> {
          keys.putNull("train").putNull("validation");
          if (isFile(vocabulary)) {
            keys.put("vocabulary", Path.of(vocabulary).getFileName().toString());
          }
          if (kind == Kind.PIXELS && label() != null) {
            keys.put("label", LABEL);
          }
        });
  }

  /** What was learnt from. */
  String name() {
    return train == null ? kind.label() : train;
  }
}
