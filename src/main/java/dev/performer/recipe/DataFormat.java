package dev.performer.recipe;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import dev.performer.PerformerException;
import dev.performer.data.Batches;
import dev.performer.data.Batching;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.CopyTask;
import dev.performer.data.ExampleBatches;
import dev.performer.data.ExampleSource;
import dev.performer.data.HeldOut;
import dev.performer.data.IndexedExamples;
import dev.performer.data.Packing;
import dev.performer.data.RetrievalTask;
import dev.performer.data.SequenceSource;
import dev.performer.data.TableExamples;
import dev.performer.data.TableExamples.LabelColumn;
import dev.performer.data.TableFile;
import dev.performer.data.TextChunks;
import dev.performer.data.TextDocuments;
import dev.performer.data.TextEncoder;
import dev.performer.data.TfRecordExamples;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.training.ModelTraining;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * What one kind of data adds to the section {@code data} of a recipe: the keys that it alone has,
 * and how its examples are read.
 */
@JsonAutoDetect
sealed interface DataFormat
    permits DataFormat.Fasta,
        DataFormat.Text,
        DataFormat.Table,
        DataFormat.TfRecord,
        DataFormat.Exercise,
        PixelFormat {
  /** The examples of a file, in their order. */
  ExampleSource source(RecipeData data, Path file, TextEncoder encoder);

  /** Batches of training, and of validation. */
  default ModelTraining.Data batches(RecipeData data, Batching batching, long seed) {
    TextEncoder encoder = data.tokenizer().encoder();
    return split(data, parts(data, file -> source(data, file, encoder)), batching, seed);
  }

  /** All examples of {@code train}, in their order. */
  default Batches whole(RecipeData data, Batching batching) {
    TextEncoder encoder = data.tokenizer().encoder();
    ExampleSource source = source(data, Path.of(data.train()), encoder);
    return new ExampleBatches(source, data.tokens(), batching, packing(data), 0);
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

  /** The part to train on and the part to evaluate on; validation is opened after training. */
  static HeldOut<ExampleSource> parts(RecipeData data, Function<Path, ExampleSource> open) {
    ExampleSource train = open.apply(Path.of(data.train()));
    return data.validation() == null
        ? HeldOut.of(train, HeldOut.EVERY)
        : new HeldOut<>(train, open.apply(Path.of(data.validation())));
  }

  private ModelTraining.Data split(
      RecipeData data, HeldOut<ExampleSource> parts, Batching batching, long seed) {
    Vocabulary tokens = data.tokens();
    var packing = packing(data);
    var held = batching.forEvaluation();
    return new ModelTraining.Data(
        new ExampleBatches(parts.train(), tokens, batching, packing, seed),
        new ExampleBatches(parts.validation(), tokens, held, packing, seed));
  }

  /** Records of letters. */
  record Fasta() implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
      return ExampleSource.of(SequenceSource.fasta(file), encoder);
    }

    /** Each part reports its own unknown letters. */
    @Override
    public ModelTraining.Data batches(RecipeData data, Batching batching, long seed) {
      SequenceSource all = SequenceSource.fasta(Path.of(data.train()));
      HeldOut<SequenceSource> split =
          data.validation() != null
              ? new HeldOut<>(all, SequenceSource.fasta(Path.of(data.validation())))
              : HeldOut.of(all);
      Tokenizer tokenizer = data.tokenizer();
      return new ModelTraining.Data(
          ExampleBatches.of(split.train(), tokenizer, batching, seed),
          ExampleBatches.of(split.validation(), tokenizer, batching.forEvaluation(), seed));
    }
  }

  /** One text, cut into pieces of bytes; or lines through a tokenizer, packed. */
  record Text() implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
      return isBytes(data)
          ? chunks(data, file, data.length())
          : new TextDocuments(file, encoder::encode);
    }

    /**
     * Pieces of twice the length that begin everywhere, cropped, are pieces that begin anywhere.
     */
    @Override
    public ModelTraining.Data batches(RecipeData data, Batching batching, long seed) {
      if (!isBytes(data)) {
        return DataFormat.super.batches(data, batching, seed);
      }
      boolean anywhere = data.crop() == RecipeData.Crop.RANDOM;
      Path file = Path.of(data.train());
      int length = data.length();
      TextChunks pieces = chunks(data, file, anywhere ? 2 * length : length);
      double kept = 1 - 1.0 / HeldOut.EVERY;
      HeldOut<ExampleSource> parts =
          data.validation() != null
              ? new HeldOut<>(pieces, chunks(data, Path.of(data.validation()), length))
              : new HeldOut<>(pieces.part(0, kept), chunks(data, file, length).part(kept, 1));
      return DataFormat.super.split(data, parts, batching, seed);
    }

    private static TextChunks chunks(RecipeData data, Path file, int size) {
      return TextChunks.read(file, ByteTokenizer.named(data.vocabulary()), size, data.length());
    }

    @Override
    public Optional<Packing> packing(RecipeData data) {
      return isBytes(data)
          ? Optional.empty()
          : Optional.of(new Packing(data.length(), data.tokenizer().ends(), Packing.Mode.SPLIT));
    }

    private static boolean isBytes(RecipeData data) {
      return ByteTokenizer.isNamed(data.vocabulary());
    }
  }

  /**
   * Columns of CSV or TSV.
   *
   * @param text column with the sequence
   * @param label column with the class or the number
   * @param classes names of the classes, in the order of their ids; null for those of {@code
   *     train}, sorted
   */
  record Table(String text, String label, List<String> classes) implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
      // A language model names no classes.
      var labels =
          data.standardize() != null
              ? Optional.of(new LabelColumn(label, Optional.empty()))
              : Optional.ofNullable(classes)
                  .map(names -> new LabelColumn(label, Optional.of(names)));
      return new TableExamples(TableFile.of(file), text, labels, encoder::encode);
    }

    @Override
    public List<String> classNames(RecipeData data) {
      return classes != null
          ? classes
          : TableExamples.categories(TableFile.of(Path.of(data.train())), label);
    }

    @Override
    public int classes(RecipeData data) {
      return label == null ? 0 : classes.size();
    }
  }

  /**
   * Examples of TensorFlow.
   *
   * @param text feature with the sequence
   * @param label feature with the class or the number
   */
  record TfRecord(String text, String label) implements DataFormat {
    @Override
    public ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
      boolean isClass = data.standardize() == null;
      var labels =
          Optional.ofNullable(label).map(name -> new TfRecordExamples.LabelFeature(name, isClass));
      int size = data.tokens().size();
      return new TfRecordExamples(List.of(file), text, labels, size, encoder::encode);
    }

    @Override
    public int classes(RecipeData data) {
      return label == null ? 0 : TfRecordExamples.classes(Path.of(data.train()), label);
    }
  }

  /** Made up, of sizes that {@link #exercise} has. */
  sealed interface Exercise extends DataFormat permits Copy, Retrieval {
    /** Between the examples of training and those of validation. */
    long OTHER_EXAMPLES = 1L << 40;

    RecipeExercise exercise();

    /** Examples of one length; with IllegalArgumentException where the sizes do not fit it. */
    IndexedExamples examples(int length, int size, long seed);

    /** With sizes that do not fit the length named. */
    static <T> T checked(Supplier<T> examples) {
      try {
        return examples.get();
      } catch (IllegalArgumentException e) {
        throw new PerformerException("data.exercise: " + e.getMessage(), e);
      }
    }

    private IndexedExamples heldOut(RecipeData data, long seed) {
      return checked(() -> examples(data.length(), exercise().validation(), seed + OTHER_EXAMPLES));
    }

    @Override
    default ExampleSource source(RecipeData data, Path file, TextEncoder encoder) {
      throw new IllegalStateException(data.kind().label());
    }

    @Override
    default ModelTraining.Data batches(RecipeData data, Batching batching, long seed) {
      var parts = new HeldOut<ExampleSource>(mixed(data, seed), heldOut(data, seed));
      return DataFormat.super.split(data, parts, batching, seed);
    }

    /** The examples of validation. */
    default Batches made(RecipeData data, Batching batching, long seed) {
      return new ExampleBatches(heldOut(data, seed), data.tokens(), batching, seed);
    }

    /** Of the full length, of half of it, a quarter, …, as many tokens of each. */
    private IndexedExamples mixed(RecipeData data, long seed) {
      Integer given = exercise().shortest();
      int shortest = given == null ? data.length() : given;
      List<IndexedExamples> parts = new ArrayList<>();
      List<Integer> shares = new ArrayList<>();
      for (int rest = data.length(); parts.isEmpty() || rest >= shortest; rest /= 2) {
        int length = rest;
        parts.add(checked(() -> examples(length, exercise().examples(), seed + length)));
        shares.add(data.length() / length);
      }
      return IndexedExamples.mixed(parts.get(0).name(), parts, shares);
    }
  }

  /** Random symbols, and the same again. */
  record Copy(RecipeExercise exercise) implements Exercise {
    @Override
    public CopyTask examples(int length, int size, long seed) {
      return new CopyTask(length, exercise.symbols(), size, seed);
    }

    @Override
    public Vocabulary vocabulary(RecipeData data) {
      return Exercise.checked(() -> examples(data.length(), 1, 0)).vocabulary();
    }
  }

  /** Values by their keys. */
  record Retrieval(RecipeExercise exercise) implements Exercise {
    @Override
    public RetrievalTask examples(int length, int size, long seed) {
      return new RetrievalTask(
          length,
          exercise.pairs(),
          exercise.records(),
          exercise.questions(),
          exercise.keys(),
          exercise.values(),
          exercise.fillers(),
          size,
          seed);
    }

    @Override
    public Vocabulary vocabulary(RecipeData data) {
      return Exercise.checked(() -> examples(data.length(), 1, 0)).vocabulary();
    }
  }
}
