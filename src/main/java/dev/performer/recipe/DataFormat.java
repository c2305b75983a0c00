package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.ExampleBatches;
import dev.performer.data.ExampleSource;
import dev.performer.data.HeldOut;
import dev.performer.data.ImageFolder;
import dev.performer.data.IndexedExamples;
import dev.performer.data.LabelColumns;
import dev.performer.data.ListOpsTask;
import dev.performer.data.MadeUpExamples;
import dev.performer.data.Packing;
import dev.performer.data.PixelExamples;
import dev.performer.data.SequenceSource;
import dev.performer.data.TableExamples;
import dev.performer.data.TableFile;
import dev.performer.data.TextChunks;
import dev.performer.data.TextDocuments;
import dev.performer.data.TextEncoder;
import dev.performer.data.TfRecordExamples;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;

/**
 * What one kind of data adds to the section {@code data} of a recipe: the keys that it alone has,
 * and how its examples are read.
 */
@JsonAutoDetect
sealed interface DataFormat {
  /** The examples of a file, in their order. */
  ExampleSource source(RecipeData data, Path file);

  /** The part to train on and the part to evaluate on; validation is opened after training. */
  default HeldOut<ExampleSource> parts(RecipeData data, long seed) {
    ExampleSource train = source(data, Path.of(data.train()));
    return data.validation() == null
        ? HeldOut.of(train, HeldOut.EVERY)
        : new HeldOut<>(train, source(data, Path.of(data.validation())));
  }

  /** All examples of {@code train}, in their order; of made-up ones those of validation. */
  default Batches whole(RecipeData data, Batching batching, long seed) {
    ExampleSource source = source(data, Path.of(data.train()));
    return new ExampleBatches(source, data.tokens(), batching, packing(data), seed);
  }

  /** Several examples in one sequence, where that is how they are read. */
  default Optional<Packing> packing(RecipeData data) {
    return Optional.empty();
  }

  /** With the length and whatever else only the files know. */
  default RecipeData measured(RecipeData data) {
    return data;
  }

  /** The column, feature or file of the labels; null for none. */
  default String label() {
    return null;
  }

  /** Names of the classes of the training data; null where it has none, or only numbers. */
  default List<String> classNames(RecipeData data) {
    return null;
  }

  /** How many classes the training data has; 0 where that is unknown. */
  default int classes(RecipeData data) {
    return 0;
  }

  /** Of data with tokens of its own. */
  default Vocabulary vocabulary(RecipeData data) {
    throw new IllegalStateException(data.kind().label());
  }

  /** Records of letters. */
  record Fasta() implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file) {
      return ExampleSource.of(SequenceSource.fasta(file), data.tokenizer().encoder());
    }

    /** Each part reports its own unknown letters. */
    @Override
    public HeldOut<ExampleSource> parts(RecipeData data, long seed) {
      if (data.validation() != null) {
        return DataFormat.super.parts(data, seed);
      }
      var split = HeldOut.of(SequenceSource.fasta(Path.of(data.train())));
      Tokenizer tokenizer = data.tokenizer();
      return new HeldOut<>(
          ExampleSource.of(split.train(), tokenizer.encoder()),
          ExampleSource.of(split.validation(), tokenizer.encoder()));
    }
  }

  /** One text, cut into pieces of bytes; or lines through a tokenizer, packed. */
  record Text() implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file) {
      return isBytes(data)
          ? chunks(data, file, data.length())
          : new TextDocuments(file, data.tokenizer().encoder()::encode);
    }

    /** Cropped pieces of twice the length that begin everywhere are pieces that begin anywhere. */
    @Override
    public HeldOut<ExampleSource> parts(RecipeData data, long seed) {
      if (!isBytes(data)) {
        return DataFormat.super.parts(data, seed);
      }
      boolean anywhere = data.crop() == RecipeData.Crop.RANDOM;
      Path file = Path.of(data.train());
      int length = data.length();
      TextChunks pieces = chunks(data, file, anywhere ? 2 * length : length);
      double kept = 1 - 1.0 / HeldOut.EVERY;
      return data.validation() != null
          ? new HeldOut<>(pieces, chunks(data, Path.of(data.validation()), length))
          : new HeldOut<>(pieces.part(0, kept), chunks(data, file, length).part(kept, 1));
    }

    private static TextChunks chunks(RecipeData data, Path file, int size) {
      return TextChunks.read(file, ByteTokenizer.named(data.vocabulary()), size, data.length());
    }

    @Override
    public Optional<Packing> packing(RecipeData data) {
      return isBytes(data)
          ? Optional.empty()
          : Optional.of(new Packing(data.length(), separator(data), Packing.Mode.SPLIT));
    }

    private static OptionalInt separator(RecipeData data) {
      return Boolean.FALSE.equals(data.end()) ? OptionalInt.empty() : data.tokenizer().ends();
    }

    private static boolean isBytes(RecipeData data) {
      return ByteTokenizer.isNamed(data.vocabulary());
    }
  }

  /**
   * Columns of CSV or TSV: the sequence, and the class or the number.
   *
   * @param classes their names in the order of their ids; null for those of {@code train}, sorted
   */
  record Table(String text, String label, List<String> classes) implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file) {
      LabelColumns known =
          data.standardize() != null
              ? new LabelColumns.Number(label)
              // A language model names no classes.
              : classes == null ? null : new LabelColumns.Class(label, classes);
      var labels = Optional.ofNullable(known);
      TextEncoder encoder = data.tokenizer().encoder();
      return new TableExamples(TableFile.of(file), text, labels, encoder);
    }

    @Override
    public List<String> classNames(RecipeData data) {
      return classes != null
          ? classes
          : LabelColumns.names(
              TableFile.of(Path.of(data.train())), text, new LabelColumns.Class(label, List.of()));
    }

    @Override
    public int classes(RecipeData data) {
      return label == null ? 0 : classes.size();
    }
  }

  /** Examples of TensorFlow: features of the sequence, and of the class or the number. */
  record TfRecord(String text, String label) implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file) {
      boolean isClass = data.standardize() == null;
      var labels =
          Optional.ofNullable(label).map(name -> new TfRecordExamples.LabelFeature(name, isClass));
      int size = data.tokens().size();
      TextEncoder encoder = data.tokenizer().encoder();
      return new TfRecordExamples(List.of(file), text, labels, size, encoder);
    }

    @Override
    public int classes(RecipeData data) {
      return label == null ? 0 : TfRecordExamples.classes(Path.of(data.train()), label);
    }
  }

  /**
   * Images of an npz, of MNIST's format, or PNGs in a folder.
   *
   * @param label file with the labels of images in MNIST's format, null for the one beside them;
   *     any word where images bring their own
   * @param levels of brightness; null for 256, or those of the file
   * @param classes names of a folder's classes, as of {@link Table}
   * @param channels of PNG images: 1 for brightness, 3 for colours
   */
  record Pixels(String label, Integer levels, List<String> classes, int channels)
      implements DataFormat {
    private static final int MOST_LEVELS = 256;

    /** Checks ranges. */
    public Pixels {
      boolean fits = levels == null || levels >= 2 && levels <= MOST_LEVELS;
      require(fits, "data.levels must be from 2 to %d, not %d", MOST_LEVELS, levels);
      require(channels == 1 || channels == 3, "data.channels must be 1 or 3, not %d", channels);
    }

    /** What images are like; the size in tokens. */
    record Images(int size, int levels, int classes) {}

    @Override
    public ExampleSource source(RecipeData data, Path file) {
      if (Files.isDirectory(file)) {
        return ImageFolder.open(file, channels, depth(), classes);
      } else if (!isIdx(file)) {
        return PixelExamples.npz(file, depth());
      }
      boolean isTraining = file.toString().equals(data.train());
      var labels =
          Optional.ofNullable(label)
              .map(own -> isTraining ? Path.of(own) : PixelExamples.labelsBeside(file));
      return PixelExamples.idx(file, labels, depth());
    }

    /** How large and how deep the images of training are. */
    Images images(RecipeData data) {
      ExampleSource source = source(data, Path.of(data.train()));
      if (source instanceof PixelExamples pixels) {
        return new Images(pixels.imageSize(), pixels.levels(), pixels.classes());
      }
      ImageFolder folder = (ImageFolder) source;
      return new Images(folder.get(0).tokens().length, depth(), folder.classes().size());
    }

    @Override
    public RecipeData measured(RecipeData data) {
      // A run's own recipe has it all, and its images need not be there any more.
      if (levels != null && data.length() != null) {
        return data;
      }
      Images images = images(data);
      int size = images.size + (data.begin() ? 1 : 0);
      int length = Objects.requireNonNullElse(data.length(), size);
      return data.with(keys -> keys.put("length", length).put("levels", images.levels));
    }

    @Override
    public List<String> classNames(RecipeData data) {
      Path file = Path.of(data.train());
      return classes != null || !Files.isDirectory(file)
          ? classes
          : ImageFolder.open(file, channels, depth(), null).classes();
    }

    @Override
    public int classes(RecipeData data) {
      return images(data).classes();
    }

    @Override
    public Vocabulary vocabulary(RecipeData data) {
      return PixelExamples.vocabulary(levels == null ? images(data).levels() : levels);
    }

    private int depth() {
      return Objects.requireNonNullElse(levels, MOST_LEVELS);
    }

    /** Whether a file of images is one in MNIST's format. */
    static boolean isIdx(Path file) {
      return !Files.isDirectory(file)
          && !file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".npz");
    }

    /** The key {@code label} with everything filled in. */
    static String label(
        String written, boolean isClassified, Path images, UnaryOperator<String> file) {
      boolean isNamed = written != null && !written.equals(RecipeData.LABEL);
      if (!isIdx(images)) {
        require(
            !isNamed,
            "data.label names the labels of images in MNIST's format only; an npz has an array 'labels', and a folder has a folder for each class");
        return written;
      }
      String beside = PixelExamples.labelsBeside(images).toString();
      return !isClassified ? null : isNamed ? file.apply(written) : beside;
    }
  }

  /** Made up, of such sizes. */
  record MadeUp(Exercise exercise) implements DataFormat {
    /** Between the examples of training and those of validation. */
    private static final long OTHER_EXAMPLES = 1L << 40;

    private MadeUpExamples examples(RecipeData data, int length, int size, long seed) {
      try {
        return exercise.task(data.kind(), length, size, seed);
      } catch (IllegalArgumentException wrong) { // sizes that do not fit one another
        throw new PerformerException("data.exercise: " + wrong.getMessage(), wrong);
      }
    }

    private IndexedExamples heldOut(RecipeData data, long seed) {
      return examples(data, data.length(), exercise.validation(), seed + OTHER_EXAMPLES);
    }

    @Override
    public ExampleSource source(RecipeData data, Path file) {
      throw new IllegalStateException(data.kind().label());
    }

    @Override
    public HeldOut<ExampleSource> parts(RecipeData data, long seed) {
      return new HeldOut<>(mixed(data, seed), heldOut(data, seed));
    }

    @Override
    public Batches whole(RecipeData data, Batching batching, long seed) {
      return new ExampleBatches(heldOut(data, seed), data.tokens(), batching, seed);
    }

    /** Of the full length, of half of it, a quarter, …, as many tokens of each. */
    private IndexedExamples mixed(RecipeData data, long seed) {
      int shortest = Objects.requireNonNullElse(exercise.shortest(), data.length());
      List<IndexedExamples> parts = new ArrayList<>();
      List<Integer> shares = new ArrayList<>();
      for (int rest = data.length(); parts.isEmpty() || rest >= shortest; rest /= 2) {
        parts.add(examples(data, rest, exercise.examples(), seed + rest));
        shares.add(data.length() / rest);
      }
      return IndexedExamples.mixed(parts.get(0).name(), parts, shares);
    }

    @Override
    public Vocabulary vocabulary(RecipeData data) {
      return examples(data, data.length(), 1, 0).vocabulary();
    }

    @Override
    public int classes(RecipeData data) {
      return data.kind() == RecipeData.Kind.LISTOPS ? ListOpsTask.CLASSES : 0;
    }
  }
}
