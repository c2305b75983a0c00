package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.Npz;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Opens checkpoints of any format. */
public final class Checkpoints {
  private static final List<String> HUGGING_FACE =
      List.of(
          "model.safetensors",
          "model" + SafetensorsFile.INDEX_SUFFIX,
          "tf_model.h5",
          "pytorch_model.bin");

  private Checkpoints() {}

  /**
   * Opens a file, a directory or the prefix of a TensorFlow checkpoint, by its content and not its
   * name alone. The caller closes it.
   */
  public static WeightFile open(Path path) {
    boolean isDirectory = Files.isDirectory(path);
    for (String name : isDirectory ? HUGGING_FACE : List.<String>of()) {
      Path file = path.resolve(name);
      if (Files.isRegularFile(file) && (!name.endsWith(".bin") || isPickle(file))) {
        return open(file);
      }
    }
    if (isDirectory && KerasHubPreset.recognizes(path)) {
      return KerasHubPreset.open(path);
    }
    String name = Files.isRegularFile(path) ? path.getFileName().toString() : "";
    if (name.endsWith(SafetensorsFile.INDEX_SUFFIX)) {
      return SafetensorsFile.Sharded.open(path);
    } else if (KerasFile.recognizes(path)) {
      return KerasFile.open(path);
    } else if (isPickle(path)) {
      throw pickle(path);
    } else if (name.endsWith(".npz") || WeightFile.isZipWith(path, n -> n.endsWith(".npy"))) {
      return new NpzFile(path, Npz.read(path));
    } else if (name.endsWith(".safetensors") || SafetensorsFile.recognizes(path)) {
      return SafetensorsFile.open(path);
    } else if (name.endsWith(".h5") || name.endsWith(".keras")) {
      return KerasFile.open(path); // which reports what is wrong
    } else if (TensorFlowCheckpoint.find(path).isPresent()) {
      return TensorFlowCheckpoint.open(path);
    }
    boolean isFlax = FlaxCheckpoint.recognizes(path);
    PerformerException.require(Files.exists(path), "%s: no such file or directory", path);
    if (isFlax || !isDirectory && FlaxCheckpoint.isNamed(path)) {
      return FlaxCheckpoint.open(path);
    }
    throw new PerformerException(
        "%s %s no checkpoint that is known here: Flax msgpack (checkpoint_<step>), TensorFlow checkpoint, .h5, .keras, .safetensors, .npz"
            .formatted(path, isDirectory ? "holds" : "is"));
  }

  /** Reads a model. @throws PerformerException also if no scheme knows the names */
  public static ModelWeights load(Path path, ImportOptions options) {
    try (WeightFile file = open(path)) {
      ModelWeights weights = NamingScheme.map(file, options);
      return new TaskChange(path, options).of(weights);
    }
  }

  /** Whether a file is a pickle, a program which is never run, or a zip with one inside. */
  private static boolean isPickle(Path file) {
    byte[] start = WeightFile.head(file, 2);
    boolean hasProtocol = start.length == 2 && start[0] == (byte) 0x80; // since protocol 2
    return hasProtocol
        ? start[1] >= 1 && start[1] <= 5
        : WeightFile.isZipWith(file, name -> name.matches("(.*/)?data\\.pkl"));
  }

  /** The refusal, with the Python line that makes a file that is read. */
  private static PerformerException pickle(Path file) {
    String from = file.getFileName().toString().replace("'", "\\'");
    String to = from.replaceFirst("\\.[^.]*$", "") + ".safetensors";
    return new PerformerException(
        ("%s is a PyTorch pickle, a program that is not run here; turn it into"
                + " safetensors with: python -c \"import torch, safetensors.torch as s; w ="
                + " torch.load('%s', map_location='cpu', weights_only=True); w ="
                + " w.get('state_dict', w); s.save_file({k: v.clone().contiguous() for k, v in"
                + " w.items() if torch.is_tensor(v)}, '%s')\"")
            .formatted(file, from, to));
  }

  /** Arrays that {@code numpy.savez} wrote; all are read at once. */
  private static final class NpzFile extends WeightFile {
    private final Map<String, NpyArray> arrays;

    private NpzFile(Path path, Map<String, NpyArray> arrays) {
      super(path, "npz", () -> {});
      this.arrays = arrays;
      arrays.forEach(
          (name, array) -> {
            int bytes = array.bytes().length;
            tensors.put(name, new Info(array.type().label(), array.shape(), bytes));
          });
    }

    @Override
    NpyArray read(String name, Info info, String where) {
      return arrays.get(name);
    }
  }
}
