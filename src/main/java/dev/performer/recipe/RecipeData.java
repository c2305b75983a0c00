package dev.performer.recipe;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.StrictJson;
import dev.performer.data.TableFile;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.model.Task;
import dev.performer.training.Standardization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

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
    @JsonInclude(JsonInclude.Include.NON_NULL) RecipeSpans spans,
    DataFormat format) {

  /** What a file holds. */
  public enum Kind {
    /** Records of letters. */
    @JsonProperty("fasta")
    FASTA(new DataFormat.Fasta()),
    /** One text, cut into pieces of bytes; or lines through a tokenizer, packed. */
    @JsonProperty("text")
    TEXT(new DataFormat.Text()),
    /** Columns of CSV or TSV. */
    @JsonProperty("table")
    TABLE(new DataFormat.Table(null, null, null)),
    /** Examples of TensorFlow. */
    @JsonProperty("tfrecord")
    TFRECORD(new DataFormat.TfRecord(null, null)),
    /** Images of an npz, of MNIST's format, or PNGs in a folder. */
    @JsonProperty("pixels")
    PIXELS(new PixelFormat(null, null, null, 1)),
    /** Made up: random symbols, and the same again. */
    @JsonProperty("copy")
    COPY(new DataFormat.Copy(null)),
    /** Made up: values by their keys. */
    @JsonProperty("retrieval")
    RETRIEVAL(new DataFormat.Retrieval(null));

    private final DataFormat usual;

    Kind(DataFormat usual) {
      this.usual = usual;
    }

    /** Its own among the keys of a section that has all. */
    DataFormat format(ObjectNode keys, String source) {
      ObjectNode own = (ObjectNode) StrictJson.tree(usual);
      own.fields().forEachRemaining(field -> field.setValue(keys.get(field.getKey())));
      return StrictJson.bind(own, usual.getClass(), source);
    }

    boolean isExercise() {
      return this == COPY || this == RETRIEVAL;
    }

    /** Whether its tokens are its own. */
    boolean ownsTokens() {
      return isExercise() || this == PIXELS;
    }

    String label() {
      return name().toLowerCase(Locale.ROOT);
    }

    /** Whether the written keys fit. @throws PerformerException that names the key */
    void check(JsonNode data) {
      String own = label();
      if (ownsTokens() && !data.path("vocabulary").asText(own).equals(own)) {
        throw new PerformerException(
            "data.vocabulary makes no sense with data.kind %s, which has its own".formatted(own));
      }
      if (isExercise() && (data.hasNonNull("train") || data.hasNonNull("validation"))) {
        throw new PerformerException(
            "data.train and data.validation make no sense with data.kind %s, which is made up"
                .formatted(own));
      }
      if (!isExercise() && data.hasNonNull("exercise")) {
        throw new PerformerException("data.exercise needs data.kind copy or retrieval");
      }
    }

    static Kind of(String name) {
      String file = name.toLowerCase(Locale.ROOT).replaceFirst("\\.gz$", "");
      if (file.matches(".*\\.(fa|faa|fasta|fas)")) {
        return FASTA;
      } else if (TableFile.isNamed(Path.of(name))) {
        return TABLE;
      } else if (file.matches(".*\\.(tfrecord|tfrecords|tfrec)")) {
        return TFRECORD;
      } else if (file.matches(".*(\\.npz|[.-]idx3-ubyte)") || Files.isDirectory(Path.of(name))) {
        return PIXELS;
      }
      return TEXT;
    }
  }

  /** Where a sequence is cut that is longer than {@code length}. */
  public enum Crop {
    /** Anywhere, another place each time. */
    @JsonProperty("random")
    RANDOM,
    /** Its first tokens stay. */
    @JsonProperty("start")
    START
  }

  /** Proportions of a masked language model, of 15 % of the tokens. */
  public enum Masks {
    /** 80 % mask, 10 % random, 10 % kept. */
    @JsonProperty("bert")
    BERT,
    /** 10 % mask, 80 % random, 10 % kept. */
    @JsonProperty("protein-lm")
    PROTEIN_LM;

    /** The numbers. */
    public Masking proportions() {
      return this == BERT ? Masking.BERT : Masking.PROTEIN_LM;
    }
  }

  static final String LABEL = "label";

  /** Before the keys of a recipe; all keys but those that are left out where they are null. */
  private static final ObjectNode DEFAULT =
      (ObjectNode)
          StrictJson.tree(
              new RecipeData(
                  null,
                  null,
                  null,
                  null,
                  null,
                  null,
                  Crop.RANDOM,
                  null,
                  null,
                  8192,
                  Masks.BERT,
                  null,
                  null,
                  null));

  static {
    for (Kind kind : Kind.values()) {
      DEFAULT.setAll((ObjectNode) StrictJson.tree(kind.usual));
    }
  }

  /** Checks ranges. */
  public RecipeData {
    boolean tooShort = length != null && length < 2;
    if (tooShort || window < 1 || bucket != null && bucket < 1) {
      throw new PerformerException(
          "data.length must be at least 2, data.bucket and data.window at least 1: %d, %d, %d"
              .formatted(length, bucket, window));
    }
  }

  /**
   * Binds a section.
   *
   * @param section keys over the defaults
   * @throws PerformerException that names source and key: unknown, of another type, out of range
   */
  static RecipeData of(ObjectNode section, String source) {
    ObjectNode keys = DEFAULT.deepCopy();
    Set<String> known = new TreeSet<>(Set.of("standardize", "spans"));
    keys.fieldNames().forEachRemaining(known::add);
    Recipe.requireKnown(section, known, source);
    keys.setAll(section);
    ObjectNode common = keys.deepCopy();
    for (Kind each : Kind.values()) { // all, so that a wrong value is found whatever the kind
      each.format(keys, source);
      ((ObjectNode) StrictJson.tree(each.usual)).fieldNames().forEachRemaining(common::remove);
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
    ObjectNode keys = DEFAULT.deepCopy();
    keys.setAll((ObjectNode) StrictJson.tree(this));
    keys.put("text", usualText(kind, vocabulary));
    return keys.setAll((ObjectNode) StrictJson.tree(format));
  }

  /** The same with other values. */
  RecipeData with(Consumer<ObjectNode> change) {
    ObjectNode keys = toJson();
    change.accept(keys);
    return of(keys, "data");
  }

  /**
   * With everything filled in that follows from other keys and the names of files.
   *
   * @param section the keys that are written
   * @param file finds a file that a recipe names
   * @param source how errors name the section
   * @throws PerformerException if there is no such file, or keys contradict each other
   */
  static RecipeData named(
      Task task, ObjectNode section, UnaryOperator<String> file, String source) {
    RecipeData written = of(section, source);
    Kind kind = written.kind;
    if (written.train == null && (kind == null || !kind.isExercise())) {
      throw new PerformerException("data.train is missing: the file to learn from");
    }
    String found = written.train == null ? null : file.apply(written.train);
    Kind of = kind == null ? Kind.of(found) : kind;
    of.check(section);
    RecipeTask.of(task).check(of, section);
    String tokens = of.ownsTokens() ? of.label() : written.tokens(of, file);
    boolean isLetters = isLetters(of, tokens);
    if (of != Kind.TEXT ? of == Kind.FASTA && ByteTokenizer.isNamed(tokens) : isLetters) {
      throw new PerformerException(
          "data.kind %s and data.vocabulary %s do not go together; a text is bytes or a tokenizer.json's, FASTA is letters"
              .formatted(of.label(), tokens));
    }
    if (of == Kind.TEXT
        && (Boolean.TRUE.equals(written.begin) || Boolean.TRUE.equals(written.end))) {
      throw new PerformerException("data.begin and data.end make no sense in pieces of a text");
    }
    ObjectNode keys = section.deepCopy().put("train", found).put("vocabulary", tokens);
    keys.set("kind", StrictJson.tree(of));
    if (written.validation != null) {
      keys.put("validation", file.apply(written.validation));
    }
    RecipeTask.of(task).complete(of, keys);
    if (!keys.hasNonNull("begin")) {
      keys.put("begin", false);
    }
    if (of.isExercise() && !section.hasNonNull("exercise")) {
      keys.set("exercise", StrictJson.tree(RecipeExercise.DEFAULT));
    }
    if (!section.hasNonNull("text")) {
      keys.put("text", usualText(of, tokens));
    }
    String label = section.path("label").textValue();
    if (of == Kind.PIXELS) {
      label = PixelFormat.label(label, task.hasLabels(), Path.of(found), file);
    }
    keys.put("label", label == null && task.hasLabels() ? LABEL : label);
    return of(keys, source);
  }

  private static boolean isLetters(Kind kind, String vocabulary) {
    return !kind.ownsTokens() && !ByteTokenizer.isNamed(vocabulary) && !isFile(vocabulary);
  }

  private static String usualText(Kind kind, String vocabulary) {
    return kind == Kind.TFRECORD || isLetters(kind, vocabulary) ? "sequence" : "text";
  }

  /** Whether {@link #measured} reads data. @param isCounted whether the model has its classes */
  boolean dependsOnFiles(Task task, boolean isCounted) {
    return format instanceof PixelFormat images && (images.levels() == null || length == null)
        || RecipeTask.of(task).dependsOnFiles(this, isCounted);
  }

  /** What {@link #named} gave, with everything else filled in: what the files hold. */
  RecipeData measured(Task task) {
    RecipeData sized = format.measured(this);
    int longest = sized.length != null ? sized.length : Batching.DEFAULT_LENGTH;
    boolean isOneShape = kind.ownsTokens() || kind == Kind.TEXT;
    int multiple = isOneShape ? longest : Math.min(longest, Batching.DEFAULT_BUCKET);
    boolean ends = end != null ? end : !isOneShape && tokenizer().vocabulary().eos().isPresent();
    RecipeData whole =
        sized.with(
            keys ->
                keys.put("length", longest)
                    .put("end", ends)
                    .put("bucket", bucket != null ? bucket : Integer.valueOf(multiple)));
    return RecipeTask.of(task).measured(whole);
  }

  private String tokens(Kind of, UnaryOperator<String> file) {
    if (vocabulary == null) {
      return of == Kind.TEXT ? ByteTokenizer.NAME : ProteinVocabulary.GOOGLE_NAME;
    }
    return isFile(vocabulary) ? file.apply(vocabulary) : vocabulary;
  }

  static boolean isFile(String vocabulary) {
    return vocabulary.endsWith(".json") || vocabulary.endsWith(".txt");
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
    boolean counted = spans != null && spans.sentinels() != null;
    return new LetterTokenizer(vocabulary, counted ? spans.extended(letters) : letters);
  }

  /** Batches for training, and those for evaluation. */
  public record Split(Batches train, Batches validation) {}

  public Split batches(BatchSize size, long seed) {
    Batching training =
        new Batching(length, size, bucket, begin, end, true, crop == Crop.RANDOM, window);
    return format.batches(this, training, seed);
  }

  /** The column, feature or file of the labels; null for none. */
  public String label() {
    return format.label();
  }

  /** Sizes of what is made up; null of data in files. */
  public RecipeExercise exercise() {
    return format instanceof DataFormat.Exercise made ? made.exercise() : null;
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

  /** What was learnt from, for a model's card. */
  String name() {
    return train == null ? kind.label() : train;
  }
}
