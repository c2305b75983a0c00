package dev.performer.recipe;

import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.CopyTask;
import dev.performer.data.ExampleBatches;
import dev.performer.data.ExampleSource;
import dev.performer.data.HeldOutExamples;
import dev.performer.data.HeldOutSplit;
import dev.performer.data.ImageFolder;
import dev.performer.data.IndexedExamples;
import dev.performer.data.LabelColumn;
import dev.performer.data.MixedExamples;
import dev.performer.data.Packing;
import dev.performer.data.PixelExamples;
import dev.performer.data.PixelVocabulary;
import dev.performer.data.RetrievalTask;
import dev.performer.data.SequenceSource;
import dev.performer.data.TableExamples;
import dev.performer.data.TableFile;
import dev.performer.data.TextChunks;
import dev.performer.data.TextDocuments;
import dev.performer.data.TextEncoder;
import dev.performer.data.TfRecordExamples;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.training.Standardization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The examples that the section {@code data} of a recipe names.
 *
 * @param data the section
 */
record RecipeSources(RecipeData data) {
  private static final int PARTS = 20;
  private static final int MOST_LEVELS = 256;

  /** Between the examples of training and those of validation of an exercise. */
  private static final long OTHER_EXAMPLES = 1L << 40;

  /**
   * What images are like.
   *
   * @param size tokens of one; 0 where they differ
   */
  record Images(int size, int levels, int classes) {}

  RecipeData.Split batches(Batching batching, long seed) {
    return switch (data.kind()) {
      case FASTA -> fasta(batching, seed);
      case TEXT ->
          ByteTokenizer.isNamed(data.vocabulary())
              ? pieces(batching, seed)
              : documents(batching, seed);
      case COPY, RETRIEVAL ->
          split(
              mixed(data.exercise().examples(), seed),
              exercise(data.length(), data.exercise().validation(), seed + OTHER_EXAMPLES),
              batching,
              Optional.empty(),
              seed);
      case TABLE, TFRECORD, PIXELS -> examples(batching, seed);
    };
  }

  private RecipeData.Split fasta(Batching batching, long seed) {
    SequenceSource all = SequenceSource.fasta(Path.of(data.train()));
    HeldOutSplit split =
        data.validation() != null
            ? new HeldOutSplit(all, SequenceSource.fasta(Path.of(data.validation())))
            : HeldOutSplit.of(all, HeldOutSplit.DEFAULT_EVERY);
    Tokenizer tokenizer = data.tokenizer();
    return new RecipeData.Split(
        ExampleBatches.of(split.train(), tokenizer, batching, seed),
        ExampleBatches.of(split.validation(), tokenizer, batching.forEvaluation(), seed));
  }

  /** Pieces of twice the length that begin everywhere, cropped, are pieces that begin anywhere. */
  private RecipeData.Split pieces(Batching batching, long seed) {
    boolean anywhere = data.crop() == RecipeData.Crop.RANDOM;
    int length = data.length();
    Path file = Path.of(data.train());
    TextChunks pieces = chunks(file, anywhere ? 2 * length : length);
    TextChunks held;
    if (data.validation() != null) {
      held = chunks(Path.of(data.validation()), length);
    } else {
      double kept = 1 - 1.0 / PARTS;
      held = chunks(file, length).part(kept, 1);
      pieces = pieces.part(0, kept);
    }
    return split(pieces, held, batching, Optional.empty(), seed);
  }

  private TextChunks chunks(Path file, int size) {
    return TextChunks.read(file, ByteTokenizer.named(data.vocabulary()), size, data.length());
  }

  private RecipeData.Split documents(Batching batching, long seed) {
    Tokenizer tokenizer = data.tokenizer();
    TextEncoder encoder = tokenizer.encoder();
    Packing packing = new Packing(data.length(), tokenizer.ends(), Packing.Mode.SPLIT);
    HeldOutExamples parts =
        parts(
            new TextDocuments(Path.of(data.train()), encoder::encode),
            () -> new TextDocuments(Path.of(data.validation()), encoder::encode));
    return split(parts.train(), parts.validation(), batching, Optional.of(packing), seed);
  }

  private RecipeData.Split examples(Batching batching, long seed) {
    TextEncoder encoder = data.tokenizer().encoder();
    HeldOutExamples parts =
        parts(
            source(Path.of(data.train()), encoder),
            () -> source(Path.of(data.validation()), encoder));
    return split(parts.train(), parts.validation(), batching, Optional.empty(), seed);
  }

  /** An example source is made only where the file was named. */
  private interface Held {
    ExampleSource open();
  }

  private HeldOutExamples parts(ExampleSource train, Held validation) {
    return data.validation() == null
        ? HeldOutExamples.of(train, PARTS)
        : new HeldOutExamples(train, validation.open());
  }

  private RecipeData.Split split(
      ExampleSource train,
      ExampleSource validation,
      Batching batching,
      Optional<Packing> packing,
      long seed) {
    Vocabulary tokens = data.tokens();
    Batches training = new ExampleBatches(train, tokens, batching, packing, seed);
    Batches evaluation =
        new ExampleBatches(validation, tokens, batching.forEvaluation(), packing, seed);
    return new RecipeData.Split(training, evaluation);
  }

  private ExampleSource source(Path file, TextEncoder encoder) {
    return switch (data.kind()) {
      case TABLE -> new TableExamples(TableFile.of(file), data.text(), labels(), encoder::encode);
      case TFRECORD ->
          new TfRecordExamples(
              List.of(file),
              data.text(),
              Optional.ofNullable(data.label())
                  .map(name -> new TfRecordExamples.LabelFeature(name, !ofNumbers())),
              data.tokens().size(),
              encoder::encode);
      case PIXELS -> pixels(file);
      default -> throw new IllegalStateException(data.kind().label());
    };
  }

  private LabelColumn labels() {
    if (ofNumbers()) {
      return new LabelColumn.Values(data.label());
    }
    return data.classes() == null // named for nothing by a language model
        ? new LabelColumn.None()
        : new LabelColumn.Categories(data.label(), data.classes());
  }

  private boolean ofNumbers() {
    return data.standardize() != null;
  }

  /** Mean and deviation of the numbers to train on. */
  Standardization unit() {
    TextEncoder encoder = data.tokenizer().encoder();
    return Standardization.of(
        parts(
                source(Path.of(data.train()), encoder),
                () -> source(Path.of(data.validation()), encoder))
            .train());
  }

  /** Names of the classes of the training data; null where it has none, or only numbers. */
  List<String> classNames() {
    Path file = data.train() == null ? null : Path.of(data.train());
    return switch (data.kind()) {
      case TABLE -> TableExamples.categories(TableFile.of(file), data.label());
      case PIXELS ->
          Files.isDirectory(file)
              ? ImageFolder.open(file, data.channels(), levels()).classes()
              : null;
      default -> null;
    };
  }

  private ExampleSource pixels(Path file) {
    if (Files.isDirectory(file)) {
      return ImageFolder.open(file, data.channels(), levels(), data.classes());
    }
    if (!isIdx(file)) {
      return PixelExamples.npz(file, levels());
    }
    boolean isTraining = file.toString().equals(data.train());
    Optional<Path> labels =
        Optional.ofNullable(data.label())
            .map(own -> isTraining ? Path.of(own) : PixelExamples.labelsBeside(file));
    return PixelExamples.idx(file, labels, levels());
  }

  private int levels() {
    return data.levels() == null ? MOST_LEVELS : data.levels();
  }

  /** Whether a file of images is one in MNIST's format. */
  static boolean isIdx(Path file) {
    return !Files.isDirectory(file)
        && !file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".npz");
  }

  /** All examples of {@code train}, in their order. */
  Batches whole(Batching batching) {
    Tokenizer tokenizer = data.tokenizer();
    Path file = Path.of(data.train());
    TextEncoder encoder = tokenizer.encoder();
    boolean isPacked = data.kind() == RecipeData.Kind.TEXT && !(tokenizer instanceof ByteTokenizer);
    ExampleSource source =
        switch (data.kind()) {
          case FASTA -> ExampleSource.of(SequenceSource.fasta(file), encoder);
          case TEXT ->
              tokenizer instanceof ByteTokenizer bytes
                  ? TextChunks.read(file, bytes, batching.length())
                  : new TextDocuments(file, encoder::encode);
          default -> source(file, encoder);
        };
    Optional<Packing> packing =
        isPacked
            ? Optional.of(new Packing(batching.length(), tokenizer.ends(), Packing.Mode.SPLIT))
            : Optional.empty();
    return new ExampleBatches(source, data.tokens(), batching, packing, 0);
  }

  /** The examples of validation of what is made up. */
  Batches made(Batching batching, long seed) {
    return new ExampleBatches(
        exercise(data.length(), data.exercise().validation(), seed + OTHER_EXAMPLES),
        data.tokens(),
        batching,
        seed);
  }

  /** How large and how deep the images of training are. */
  Images images() {
    ExampleSource source = pixels(Path.of(data.train()));
    if (source instanceof PixelExamples pixels) {
      return new Images(pixels.imageSize(), pixels.levels(), pixels.classes());
    }
    ImageFolder folder = (ImageFolder) source;
    return new Images(folder.get(0).tokens().length, levels(), folder.classes().size());
  }

  /** How many classes the training data has; 0 where that is unknown. */
  int classes() {
    return switch (data.kind()) {
      case TABLE -> data.label() == null ? 0 : data.classes().size();
      case TFRECORD ->
          data.label() == null ? 0 : TfRecordExamples.classes(Path.of(data.train()), data.label());
      case PIXELS -> images().classes();
      default -> 0;
    };
  }

  /** Of what has tokens of its own. */
  Vocabulary vocabulary() {
    return switch (data.kind()) {
      case COPY -> copying(data.length(), 1, 0).vocabulary();
      case RETRIEVAL -> retrieval(data.length(), 1, 0).vocabulary();
      default -> PixelVocabulary.of(data.levels() == null ? images().levels() : data.levels());
    };
  }

  private IndexedExamples mixed(int size, long seed) {
    Integer shortest = data.exercise().shortest();
    List<IndexedExamples> parts = new ArrayList<>();
    List<Integer> shares = new ArrayList<>();
    for (int length = data.length();
        parts.isEmpty() || shortest != null && length >= shortest;
        length /= 2) {
      parts.add(exercise(length, size, seed + length));
      shares.add(data.length() / length);
    }
    return new MixedExamples(parts.get(0).name(), parts, shares);
  }

  private IndexedExamples exercise(int length, int size, long seed) {
    return data.kind() == RecipeData.Kind.COPY
        ? copying(length, size, seed)
        : retrieval(length, size, seed);
  }

  private CopyTask copying(int length, int size, long seed) {
    return exercise(() -> new CopyTask(length, data.exercise().symbols(), size, seed));
  }

  private RetrievalTask retrieval(int length, int size, long seed) {
    RecipeExercise sizes = data.exercise();
    return exercise(
        () ->
            new RetrievalTask(
                length,
                sizes.pairs(),
                sizes.records(),
                sizes.questions(),
                sizes.keys(),
                sizes.values(),
                sizes.fillers(),
                size,
                seed));
  }

  private interface Making<T> {
    T make();
  }

  private static <T> T exercise(Making<T> making) {
    try {
      return making.make();
    } catch (IllegalArgumentException e) {
      throw new PerformerException("data.exercise: " + e.getMessage(), e);
    }
  }
}
