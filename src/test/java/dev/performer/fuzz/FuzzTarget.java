package dev.performer.fuzz;

import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.checkpoint.Checkpoints;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.checkpoint.WeightFile;
import dev.performer.cli.CommandLineRun;
import dev.performer.data.ByteTokenizer;
import dev.performer.data.ExampleSource;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import dev.performer.data.PixelExamples;
import dev.performer.data.SequenceSource;
import dev.performer.data.StrictJson;
import dev.performer.data.TableFile;
import dev.performer.data.TextDocuments;
import dev.performer.data.TfRecordExamples;
import dev.performer.data.TfRecordFile;
import dev.performer.data.TokenRows;
import dev.performer.recipe.Recipe;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.TensorSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.tensorflow.proto.DataType;

/**
 * Something that reads files of one kind.
 *
 * @param name of it
 * @param seeds whole files and folders
 * @param mutated which files of a folder are damaged, one at a time
 * @param reader reads the place, which has the seed's name
 */
record FuzzTarget(String name, List<Path> seeds, List<String> mutated, Reader reader) {

  /** Reads a damaged file or folder in a folder of its own. */
  interface Reader {
    void read(Path place) throws Exception;
  }

  private static final Path JAX = Path.of("src/test/resources/reference/jax");
  private static final Path TRAINING = Path.of("training");
  private static final Path REFERENCE = Path.of("savedmodels/reference");

  private static FuzzTarget files(String name, Reader reader, Path... seeds) {
    return new FuzzTarget(name, List.of(seeds), List.of(), reader);
  }

  /** All of them. @param scratch where seeds are written that are not files of the project */
  static List<FuzzTarget> all(Path scratch) throws IOException {
    Files.createDirectories(scratch);
    Path torch = ReferenceModels.directory("checkpoints/torch_named");
    Path keras = ReferenceModels.directory("checkpoints/keras3_transformer");
    Path encoder = ReferenceModels.directory("checkpoints/kernel_encoder");
    Path protein = ReferenceModels.directory("checkpoints/protein_exp");
    Path tokenizers = Path.of("src/test/resources/tokenizers");
    return List.of(
        files(
            "msgpack",
            FuzzTarget::tensors,
            JAX.resolve("flax_msgpack/dtypes.msgpack"),
            JAX.resolve("flax_msgpack/chunked.msgpack"),
            JAX.resolve("flax_msgpack/list_direct.msgpack"),
            JAX.resolve("flax_msgpack/root_array.msgpack")),
        new FuzzTarget(
            "flax",
            List.of(
                JAX.resolve("protein_lm/lm_relu"),
                JAX.resolve("protein_lm/bert_softmax_favor"),
                JAX.resolve("lra/encoder_mean_softmax")),
            List.of("checkpoint_300", "checkpoint_3", "config.gin"),
            place -> Checkpoints.load(place, ImportOptions.builder().build())),
        files("safetensors", FuzzTarget::tensors, torch.resolve("bert_plain/model.safetensors")),
        files(
            "keras",
            FuzzTarget::tensors,
            protein.resolve("weights.h5"),
            encoder.resolve("model.h5"),
            keras.resolve("model.weights.h5"),
            keras.resolve("model.keras")),
        new FuzzTarget(
            "checkpoint",
            List.of(encoder.resolve("checkpoint"), protein.resolve("checkpoint")),
            List.of("ckpt.index", "ckpt.data-00000-of-00001", "checkpoint"),
            FuzzTarget::tensors),
        files("npz", FuzzTarget::tensors, torch.resolve("performer/expected.npz"), tokens(scratch)),
        files(
            "inspect",
            FuzzTarget::inspect,
            torch.resolve("bert_plain/model.safetensors"),
            JAX.resolve("flax_msgpack/dtypes.msgpack"),
            protein.resolve("weights.h5")),
        files(
            "tokenizer",
            place -> JsonTokenizer.read(place).encoder().encode("Grüße, MKV 12!"),
            tokenizers.resolve("bpe/tokenizer.json"),
            tokenizers.resolve("wordpiece/tokenizer.json"),
            tokenizers.resolve("wordpiece/vocab.txt")),
        files(
            "tfrecord",
            place -> examples(records(place)),
            Path.of("src/test/resources/data/protein_lm.tfrecord"),
            Path.of("src/test/resources/data/labelled.tfrecord.gz")),
        files("example", FuzzTarget::framedExample, example(scratch)),
        files(
            "idx", place -> examples(PixelExamples.idx(place, Optional.empty(), 16)), idx(scratch)),
        files(
            "table",
            place -> TableFile.of(place).read(),
            TRAINING.resolve("data/isoelectric_valid.csv.gz"),
            table(scratch)),
        files(
            "fasta",
            FuzzTarget::fasta,
            TRAINING.resolve("data/family_test.fasta.gz"),
            fastaFile(scratch)),
        files(
            "text",
            place -> examples(new TextDocuments(place, text -> new int[text.length()])),
            table(scratch)),
        files("tokens", place -> TokenRows.npz(place, OptionalInt.of(0)), tokens(scratch)),
        files(
            "pixels",
            place -> examples(PixelExamples.npz(place, 16)),
            TRAINING.resolve("data/digits_valid.npz")),
        files("recipe", FuzzTarget::recipe, recipes()),
        new FuzzTarget(
            "card",
            List.of(Path.of("savedmodels/protein-mlm/saved_model/assets.extra")),
            List.of("performer.json"),
            FuzzTarget::card),
        new FuzzTarget(
            "predict",
            predicted(scratch),
            List.of(
                "saved_model.pb",
                "saved_model.pb",
                "variables.index",
                "variables.data-00000-of-00001"),
            FuzzTarget::predict));
  }

  /**
   * Writes a damaged copy of a seed.
   *
   * @return the place to read
   */
  Path write(Path folder, SplittableRandom random) throws IOException {
    Path seed = seeds.get(random.nextInt(seeds.size()));
    Path other = seeds.get(random.nextInt(seeds.size()));
    Path place = folder.resolve(seed.getFileName().toString());
    if (!Files.isDirectory(seed)) {
      byte[] bytes =
          new Mutator(random).mutate(Files.readAllBytes(seed), Files.readAllBytes(other));
      return Files.write(place, bytes);
    }
    ReferenceModels.copy(seed, place);
    List<Path> files;
    try (Stream<Path> all = Files.walk(place)) {
      files =
          all.filter(Files::isRegularFile)
              .filter(f -> mutated.contains(f.getFileName().toString()))
              .sorted()
              .toList();
    }
    String name = mutated.get(random.nextInt(mutated.size()));
    Path file =
        files.stream()
            .filter(f -> f.endsWith(name))
            .findFirst()
            .orElse(files.get(random.nextInt(files.size())));
    byte[] bytes = Files.readAllBytes(file);
    Files.delete(file);
    Files.write(file, new Mutator(random).mutate(bytes, bytes, name.equals("saved_model.pb")));
    return place;
  }

  private static void tensors(Path place) {
    try (WeightFile file = Checkpoints.open(place)) {
      file.tensors().keySet().forEach(file::read);
    }
  }

  private static void inspect(Path place) {
    run("inspect", place);
  }

  private static void predict(Path folder) {
    Path model = folder.resolve("model");
    Path inputs = folder.resolve("in.npz");
    run("predict", model, "--inputs", inputs, "--output", folder.resolve("out.npz"));
  }

  private static void run(Object... arguments) {
    CommandLineRun run = CommandLineRun.of(arguments);
    if (run.exitCode() == 0) {
      return;
    }
    String message = run.err().substring(Math.max(0, run.err().indexOf("performer: ")));
    String[] lines = message.strip().split("\n");
    boolean isOne = Stream.of(lines).skip(1).allMatch(line -> line.startsWith("  "));
    if (run.exitCode() > 2 || !lines[0].startsWith("performer: ") || !isOne) {
      throw new AssertionError("exit code " + run.exitCode() + " and on stderr: " + run.err());
    }
    throw new PerformerException(message.strip().replace("\n", "; "));
  }

  private static void examples(ExampleSource source) {
    try (var stream = source.open()) {
      stream.forEachRemaining(example -> {});
    }
  }

  private static ExampleSource records(Path place) {
    boolean labelled = place.toString().contains("labelled");
    return new TfRecordExamples(
        List.of(place),
        TfRecordExamples.SEQUENCE,
        labelled
            ? Optional.of(new TfRecordExamples.LabelFeature("stability", false))
            : Optional.empty(),
        29,
        new ByteTokenizer(3).encoder()::encode);
  }

  /** A record with a right checksum, whatever is in it. */
  private static void framedExample(Path place) throws IOException {
    examples(records(Files.write(place, TfRecordFile.framed(Files.readAllBytes(place)))));
  }

  private static void fasta(Path place) {
    try (var sequences = SequenceSource.fasta(place).open()) {
      sequences.forEachRemaining(sequence -> {});
    }
  }

  private static void recipe(Path place) {
    Recipe.of(StrictJson.readTree(place), place.toString(), List.of(TRAINING));
  }

  private static void card(Path extra) {
    Path model = extra.resolveSibling("model");
    try {
      Files.createDirectory(model);
      Files.move(extra, model.resolve("assets.extra"));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
    ModelCard.read(model);
    PerformerModels.config(model);
  }

  /** Folders with a SavedModel and inputs that fit it. */
  private static List<Path> predicted(Path scratch) throws IOException {
    List<Path> models =
        new ArrayList<>(
            List.of(
                REFERENCE.resolve("gr_relu_bidir/saved_model"),
                REFERENCE.resolve("gr_softmax_P_bidir/saved_model")));
    for (String name : new String[] {"embed", "cond_tensor", "lstm", "control", "conv1d"}) {
      models.add(savedModel(ReferenceModels.directory("constructs/" + name)));
    }
    List<Path> folders = new ArrayList<>();
    for (Path model : models) {
      Path folder = scratch.resolve("predict-" + folders.size());
      AtomicFiles.delete(folder);
      Files.createDirectories(folder);
      ReferenceModels.copy(model, folder.resolve("model"));
      Map<String, NpyArray> inputs = new TreeMap<>();
      var signature = SavedModelDirectory.open(model).signature("serving_default");
      signature.inputs().forEach((name, spec) -> inputs.put(name, zeros(spec)));
      Npz.write(folder.resolve("in.npz"), inputs);
      folders.add(folder);
    }
    return folders;
  }

  private static NpyArray zeros(TensorSpec spec) {
    long[] shape = LongStream.of(spec.shape().asArray()).map(d -> d < 0 ? 2 : d).toArray();
    int size = (int) LongStream.of(shape).reduce(1, (a, b) -> a * b);
    return spec.type() == DataType.DT_FLOAT
        ? NpyArray.of(new float[size], shape)
        : NpyArray.of(new int[size], shape);
  }

  private static Path savedModel(Path folder) {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.filter(f -> f.endsWith("saved_model.pb"))
          .sorted()
          .findFirst()
          .orElseThrow()
          .getParent();
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Path[] recipes() throws IOException {
    try (Stream<Path> all = Files.list(TRAINING)) {
      return all.filter(f -> f.toString().endsWith(".yaml")).sorted().toArray(Path[]::new);
    }
  }

  private static Path example(Path scratch) throws IOException {
    byte[] records = Files.readAllBytes(Path.of("src/test/resources/data/protein_lm.tfrecord"));
    int length = (int) ByteBuffer.wrap(records).order(ByteOrder.LITTLE_ENDIAN).getLong();
    return Files.write(
        scratch.resolve("example.tfrecord"), Arrays.copyOfRange(records, 12, 12 + length));
  }

  private static Path idx(Path scratch) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(new byte[] {0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 4});
    out.write(new byte[80]);
    return Files.write(scratch.resolve("images-idx3-ubyte"), out.toByteArray());
  }

  private static Path table(Path scratch) throws IOException {
    return Files.writeString(
        scratch.resolve("table.csv"), "id,text,label\n1,\"a, \"\"b\"\"\nc\",0.5\n2,üñ,-1\n3,,7\n");
  }

  private static Path fastaFile(Path scratch) throws IOException {
    return Files.writeString(
        scratch.resolve("a.fasta"),
        ";comment\n>P1 first\nMKV\nACD\n\n>P2\r\nWWX*-\r\n>P3\nm k v\n");
  }

  private static Path tokens(Path scratch) {
    Map<String, NpyArray> arrays = new TreeMap<>();
    arrays.put("tokens", NpyArray.of(new int[] {1, 2, 0, 3, 0, 0}, 2, 3));
    arrays.put("mask", NpyArray.of(new int[] {1, 1, 0, 1, 0, 0}, 2, 3));
    Path file = scratch.resolve("tokens.npz");
    Npz.write(file, arrays);
    return file;
  }
}
