package dev.performer.recipe;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import dev.performer.PerformerException;
import dev.performer.data.BatchSize;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.Masking;
import dev.performer.data.PixelExamples;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.TableFile;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.model.Task;
import dev.performer.training.Standardization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
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
 * @param text column of a table or feature of TFRecords with the sequence
 * @param label the same with the class or the number; of images in MNIST's format their labels'
 *     file, null for the one beside them
 * @param levels of brightness; null for 256, or those of the file
 * @param classes names of a table's or a folder's classes, in the order of their ids; null for
 *     those of {@code train}, sorted
 * @param channels of PNG images: 1 for brightness, 3 for colours
 * @param exercise sizes of {@code copy} and {@code retrieval}
 * @param standardize the unit in which numbers are learnt; null for their mean and deviation in the
 *     training data. Only of a regression
 * @param spans what a sequence-to-sequence model has to write; null for T5's. Only of that task
 */
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
    String text,
    String label,
    Integer levels,
    List<String> classes,
    int channels,
    RecipeExercise exercise,
    @JsonInclude(JsonInclude.Include.NON_NULL) Standardization standardize,
    @JsonInclude(JsonInclude.Include.NON_NULL) RecipeSpans spans) {

  /** What a file holds. */
  public enum Kind {
    /** Records of letters. */
    @JsonProperty("fasta")
    FASTA,
    /** One text, cut into pieces of bytes; or lines through a tokenizer, packed. */
    @JsonProperty("text")
    TEXT,
    /** Columns of CSV or TSV. */
    @JsonProperty("table")
    TABLE,
    /** Examples of TensorFlow. */
    @JsonProperty("tfrecord")
    TFRECORD,
    /** Images of an npz, of MNIST's format, or PNGs in a folder. */
    @JsonProperty("pixels")
    PIXELS,
    /** Made up: random symbols, and the same again. */
    @JsonProperty("copy")
    COPY,
    /** Made up: values by their keys. */
    @JsonProperty("retrieval")
    RETRIEVAL;

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

  /** Before the keys of a recipe. */
  static final RecipeData DEFAULT =
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
          null,
          null,
          1,
          null,
          null,
          null);

  /** Checks ranges. */
  public RecipeData {
    boolean tooShort = length != null && length < 2;
    if (tooShort || window < 1 || bucket != null && bucket < 1) {
      throw new PerformerException(
          "data.length must be at least 2, data.bucket and data.window at least 1: "
              + length
              + ", "
              + bucket
              + ", "
              + window);
    }
    if (levels != null && (levels < 2 || levels > 256) || channels != 1 && channels != 3) {
      throw new PerformerException(
          "data.levels must be from 2 to 256 and data.channels 1 or 3: "
              + levels
              + ", "
              + channels);
    }
  }

  /**
   * With everything filled in that follows from other keys and the names of files.
   *
   * @param file finds a file that a recipe names
   * @throws PerformerException if there is no such file, or keys contradict each other
   */
  RecipeData named(Task task, UnaryOperator<String> file) {
    if (train == null && (kind == null || !kind.isExercise())) {
      throw new PerformerException("data.train is missing: the file to learn from");
    }
    String found = train == null ? null : file.apply(train);
    Kind of = kind == null ? Kind.of(found) : kind;
    RecipeTasks.check(of, this);
    RecipeTasks.check(task, of, this);
    boolean isPair = task == Task.SEQUENCE_TO_SEQUENCE;
    String tokens = of.ownsTokens() ? of.label() : tokens(of, file);
    boolean letters = !of.ownsTokens() && !ByteTokenizer.isNamed(tokens) && !isFile(tokens);
    if (of != Kind.TEXT ? of == Kind.FASTA && ByteTokenizer.isNamed(tokens) : letters) {
      throw new PerformerException(
          "data.kind "
              + of.label()
              + " and data.vocabulary "
              + tokens
              + " do not go together; a text is bytes or a tokenizer.json's, FASTA is letters");
    }
    if (of == Kind.TEXT && (Boolean.TRUE.equals(begin) || Boolean.TRUE.equals(end))) {
      throw new PerformerException("data.begin and data.end make no sense in pieces of a text");
    }
    return new RecipeData(
        found,
        validation == null ? null : file.apply(validation),
        of,
        tokens,
        length,
        bucket,
        crop,
        begin != null ? begin : of == Kind.PIXELS && task == Task.CAUSAL_LM,
        end,
        window,
        isPair ? null : masking,
        text != null ? text : letters || of == Kind.TFRECORD ? "sequence" : "text",
        label(task, of, found, file),
        levels,
        classes,
        channels,
        !of.isExercise() ? null : exercise == null ? RecipeExercise.DEFAULT : exercise,
        standardize,
        isPair && spans == null ? RecipeSpans.DEFAULT : spans);
  }

  /** Whether {@link #measured} reads data. @param isCounted whether the model has its classes */
  boolean dependsOnFiles(Task task, boolean isCounted) {
    boolean isClassified = task == Task.CLASSIFICATION;
    return kind == Kind.PIXELS && (levels == null || length == null || isClassified)
        || kind == Kind.TABLE && isClassified && classes == null
        || kind == Kind.TFRECORD && isClassified && !isCounted
        || task == Task.REGRESSION && standardize == null;
  }

  /** What {@link #named} gave, with everything else filled in: what the files hold. */
  RecipeData measured(Task task) {
    // A run's own recipe has it all, and its images need not be there any more.
    boolean known = levels != null && length != null;
    RecipeData whole = withLength(known, task == Task.CLASSIFICATION);
    return RecipeTasks.resolved(task, whole);
  }

  /** The same with numbers in another unit. */
  RecipeData withStandardization(Standardization unit) {
    return with(length, bucket, end, levels, classes, unit, spans);
  }

  /** The same with other spans. */
  RecipeData withSpans(RecipeSpans others) {
    return with(length, bucket, end, levels, classes, standardize, others);
  }

  /** The same with padded lengths that are multiples of another number. */
  RecipeData withBucket(int multiple) {
    return with(length, multiple, end, levels, classes, standardize, spans);
  }

  private RecipeData with(
      Integer tokens,
      Integer multiple,
      Boolean ends,
      Integer brightness,
      List<String> names,
      Standardization unit,
      RecipeSpans missing) {
    return new RecipeData(
        train,
        validation,
        kind,
        vocabulary,
        tokens,
        multiple,
        crop,
        begin,
        ends,
        window,
        masking,
        text,
        label,
        brightness,
        names,
        channels,
        exercise,
        unit,
        missing);
  }

  /**
   * A column or a feature; of images the file of their labels, or any word where they bring them.
   */
  private String label(Task task, Kind of, String found, UnaryOperator<String> file) {
    if (of == Kind.PIXELS && RecipeSources.isIdx(Path.of(found))) {
      if (task != Task.CLASSIFICATION) {
        return null;
      }
      return label != null && !label.equals(LABEL)
          ? file.apply(label)
          : PixelExamples.labelsBeside(Path.of(found)).toString();
    }
    if (of == Kind.PIXELS && label != null && !label.equals(LABEL)) {
      throw new PerformerException(
          "data.label names the labels of images in MNIST's format only; an npz has an array"
              + " 'labels', and a folder has a folder for each class");
    }
    return label != null || !RecipeTasks.hasLabels(task) ? label : LABEL;
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

  private RecipeData withLength(boolean known, boolean classified) {
    int longest = length != null ? length : Batching.DEFAULT_LENGTH;
    Integer brightness = levels;
    if (kind == Kind.PIXELS && !known) {
      RecipeSources.Images images = new RecipeSources(this).images();
      longest = length != null ? length : images.size() + (begin ? 1 : 0);
      brightness = images.levels();
    }
    boolean oneShape = kind.ownsTokens() || kind == Kind.TEXT;
    boolean ends = kind != Kind.TEXT && !kind.ownsTokens();
    List<String> names =
        classes == null && classified ? new RecipeSources(this).classNames() : classes;
    return with(
        longest,
        bucket != null ? bucket : oneShape ? longest : Math.min(longest, Batching.DEFAULT_BUCKET),
        end != null ? end : ends && tokenizer().vocabulary().eos().isPresent(),
        brightness,
        names,
        standardize,
        spans);
  }

  /** The tokens, with the sentinels of spans. @throws PerformerException if the name is unknown */
  public Vocabulary tokens() {
    Vocabulary own = tokenizer().vocabulary();
    return spans == null ? own : spans.extended(own);
  }

  /** Between texts and tokens. @throws PerformerException if the name is unknown */
  public Tokenizer tokenizer() {
    if (kind.ownsTokens()) {
      return new LetterTokenizer(kind.label(), new RecipeSources(this).vocabulary());
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
    return new RecipeSources(this).batches(training, seed);
  }

  /** What was learnt from, for a model's card. */
  String name() {
    return train == null ? kind.label() : train;
  }
}
