package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import io.jhdf.HdfFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * What Keras saves: {@code .h5} weights and whole models of Keras 2, {@code .weights.h5} and {@code
 * .keras} of Keras 3 (and of Keras 2's last versions).
 *
 * <p>Keras 2's {@code .h5} names every weight ({@code favor_0/query/kernel}), and tensors have
 * these names. The other forms have paths of groups such as {@code
 * layers/multi_head_attention_1/query_dense/vars/0}; there {@link #variable} knows what the layers
 * were called, if the file does.
 */
public final class KerasFile extends OpenedWeights {
  private static final byte[] HDF5 = {(byte) 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  private static final String WEIGHTS = "model.weights.h5";
  private static final String CONFIG = "config.json";
  private static final int LONGEST_CONFIG = 1 << 26;

  private final HdfFile hdf;
  private final Hdf5Tensors contents;
  private final JsonNode config;
  private final Map<String, String> places = new HashMap<>();
  private final Map<String, String> variableNames = new HashMap<>();

  private KerasFile(Path path, String format, HdfFile hdf, Hdf5Tensors contents, JsonNode config) {
    super(path, format);
    this.hdf = hdf;
    this.contents = contents;
    this.config = config;
    Map<String, String> named = KerasNames.ofWeightNames(contents);
    contents
        .infos()
        .forEach(
            (place, info) -> {
              String name = named.getOrDefault(place, place);
              places.put(name, place);
              (KerasNames.isTrainingState(place) ? trainingState : tensors).put(name, info);
            });
    variableNames.putAll(KerasNames.ofLayerNames(contents, tensors));
  }

  /** Whether a file is HDF5, or a zip that holds Keras' weights. */
  public static boolean recognizes(Path file) {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try (InputStream in = RegularFiles.newInputStream(file)) {
      byte[] start = in.readNBytes(HDF5.length);
      return java.util.Arrays.equals(start, HDF5) || isZip(start) && hasWeights(file);
    } catch (IOException e) {
      return false;
    }
  }

  private static boolean isZip(byte[] start) {
    return start.length > 3 && start[0] == 'P' && start[1] == 'K' && start[2] == 3;
  }

  private static boolean hasWeights(Path file) throws IOException {
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.getEntry(WEIGHTS) != null;
    } catch (IllegalArgumentException e) { // names that are no UTF-8
      return false;
    }
  }

  /**
   * Opens a file of any of the forms.
   *
   * @throws PerformerException if it is none of them, or damaged
   */
  public static KerasFile open(Path file) {
    try (InputStream in = RegularFiles.newInputStream(file)) {
      return isZip(in.readNBytes(HDF5.length)) ? openZip(file) : openHdf5(file);
    } catch (IOException e) {
      throw new PerformerException(file + " cannot be read: " + AtomicFiles.describe(e), e);
    }
  }

  private static KerasFile openHdf5(Path file) throws IOException {
    long size = Files.size(file);
    HdfFile hdf = openMapped(file, size);
    try {
      Hdf5Tensors contents = new Hdf5Tensors(hdf, size, file.toString());
      String[] config = contents.texts(hdf, "model_config");
      JsonNode tree =
          config.length == 0
              ? null
              : StrictJson.readTree(
                  config[0].getBytes(StandardCharsets.UTF_8), file + ", attribute model_config");
      String format = config.length == 0 ? "Keras HDF5 weights" : "Keras HDF5 model";
      return new KerasFile(file, format, hdf, contents, tree);
    } catch (RuntimeException e) {
      hdf.close();
      throw e;
    }
  }

  /** Out of a buffer jhdf cannot read more than there is; from a channel it allocates any claim. */
  private static HdfFile openMapped(Path file, long size) throws IOException {
    if (size > Integer.MAX_VALUE) {
      return Hdf5Tensors.guarded(file.toString(), () -> new HdfFile(file));
    }
    try (FileChannel channel = RegularFiles.open(file)) {
      ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, size);
      return Hdf5Tensors.guarded(file.toString(), () -> HdfFile.fromByteBuffer(bytes));
    }
  }

  private static KerasFile openZip(Path file) throws IOException {
    byte[] weights;
    JsonNode tree;
    try (ZipFile zip = new ZipFile(file.toFile())) {
      weights = bytes(zip, WEIGHTS, Integer.MAX_VALUE - 16, file);
      byte[] config = bytes(zip, CONFIG, LONGEST_CONFIG, file);
      tree = StrictJson.readTree(config, file + ", " + CONFIG);
    } catch (IllegalArgumentException e) {
      throw new PerformerException(file + " is no .keras: a name in it is no text", e);
    }
    String where = file + ", " + WEIGHTS;
    HdfFile hdf = Hdf5Tensors.guarded(where, () -> HdfFile.fromBytes(weights));
    try {
      return new KerasFile(
          file, "Keras model", hdf, new Hdf5Tensors(hdf, weights.length, where), tree);
    } catch (RuntimeException e) {
      hdf.close();
      throw e;
    }
  }

  /** Keras stores entries without compression: what claims more than the zip holds is none. */
  private static byte[] bytes(ZipFile zip, String name, int most, Path file) throws IOException {
    ZipEntry entry = zip.getEntry(name);
    if (entry == null) {
      throw new PerformerException(file + " is no .keras: it has no " + name);
    }
    long size = entry.getSize();
    boolean fits = size >= 0 && size <= most && size <= 64 * Files.size(file);
    if (!fits) {
      throw new PerformerException(
          file + ", " + name + " claims " + size + " bytes in a file of " + Files.size(file));
    }
    try (InputStream in = zip.getInputStream(entry)) {
      byte[] bytes = in.readNBytes((int) size);
      if (bytes.length < size || in.read() >= 0) {
        throw new PerformerException(file + ", " + name + " is not as long as it claims");
      }
      return bytes;
    }
  }

  @Override
  public String variable(String tensor) {
    return variableNames.getOrDefault(tensor, tensor);
  }

  @Override
  public Optional<JsonNode> modelConfig() {
    return Optional.ofNullable(config);
  }

  @Override
  public NpyArray read(String name) {
    return contents.read(places.getOrDefault(name, name));
  }

  @Override
  public void close() {
    hdf.close();
  }
}
