package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
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
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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
final class KerasFile extends WeightFile {
  private static final byte[] HDF5 = {(byte) 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  private static final String WEIGHTS = "model.weights.h5";
  private static final String CONFIG = "config.json";
  private static final int LONGEST_CONFIG = 1 << 26;
  private static final Pattern NUMBERED = Pattern.compile("(.*)/vars/(\\d{1,6})\\d*");
  private static final Pattern TRAINING =
      Pattern.compile("(optimizer|optimizer_weights)(/.*)?|.*/seed_generator_state");

  private final Hdf5Tensors contents;
  private final boolean isZip;
  private final Map<String, String> places = new HashMap<>();

  /** With the configuration that lies beside the HDF5 file in a zip; null for no zip. */
  private KerasFile(Path path, HdfFile hdf, long size, String where, JsonNode zipped) {
    super(path, "Keras", hdf::close);
    contents = new Hdf5Tensors(hdf, size, where);
    isZip = zipped != null;
    String[] own = isZip ? new String[0] : contents.texts(hdf, "model_config");
    byte[] json = own.length == 0 ? null : own[0].getBytes(StandardCharsets.UTF_8);
    if (isZip || json != null) {
      modelConfig = isZip ? zipped : StrictJson.readTree(json, path + ", attribute model_config");
    }
    Map<String, String> named = weightNames();
    contents.infos.forEach(
        (place, info) -> {
          String name = named.getOrDefault(place, place);
          places.put(name, place);
          (TRAINING.matcher(place).matches() ? trainingState : tensors).put(name, info);
        });
    nameLayers();
  }

  /** Whether a file is HDF5, or a zip that holds Keras' weights. */
  static boolean recognizes(Path file) {
    byte[] start = head(file, HDF5.length);
    return Arrays.equals(start, HDF5) || isZip(start) && isZipWith(file, WEIGHTS::equals);
  }

  private static boolean isZip(byte[] start) {
    return start.length > 3 && start[0] == 'P' && start[1] == 'K' && start[2] == 3;
  }

  static KerasFile open(Path file) {
    try {
      if (isZip(head(file, HDF5.length))) {
        return openZip(file);
      }
      long size = Files.size(file);
      return of(file, openMapped(file, size), size, file.toString(), null);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  private static KerasFile of(Path file, HdfFile hdf, long size, String where, JsonNode zipped)
      throws IOException {
    return owning(hdf::close, source -> new KerasFile(file, hdf, size, where, zipped));
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
      tree = StrictJson.readTree(bytes(zip, CONFIG, LONGEST_CONFIG, file), file + ", " + CONFIG);
    } catch (IllegalArgumentException e) {
      throw new PerformerException(file + " is no .keras: a name in it is no text", e);
    }
    String where = file + ", " + WEIGHTS;
    HdfFile hdf = Hdf5Tensors.guarded(where, () -> HdfFile.fromBytes(weights));
    return of(file, hdf, weights.length, where, tree);
  }

  /** Keras stores entries without compression: what claims more than the zip holds is none. */
  private static byte[] bytes(ZipFile zip, String name, int most, Path file) throws IOException {
    ZipEntry entry = zip.getEntry(name);
    require(entry != null, "%s is no .keras: it has no %s", file, name);
    long size = entry.getSize();
    long whole = Files.size(file);
    boolean fits = size >= 0 && size <= most && size <= 64 * whole;
    require(fits, "%s, %s claims %s bytes in a file of %s", file, name, size, whole);
    try (InputStream in = zip.getInputStream(entry)) {
      byte[] bytes = in.readNBytes((int) size);
      boolean isWhole = bytes.length == size && in.read() < 0;
      require(isWhole, "%s, %s is not as long as it claims", file, name);
      return bytes;
    }
  }

  /** Keras 2: groups list their weights in the attribute {@code weight_names}. */
  private Map<String, String> weightNames() {
    Map<String, String> names = new HashMap<>();
    Set<String> seen = new HashSet<>();
    Set<String> twice = new HashSet<>();
    contents.groups.forEach(
        (path, group) -> {
          for (String weight : contents.texts(group, "weight_names")) {
            String place = path + "/" + weight;
            String name = weight.replaceFirst(":0$", "");
            if (contents.infos.containsKey(place)) {
              names.put(place, name);
              (seen.add(name) ? seen : twice).add(name);
            }
          }
        });
    names.values().removeAll(twice); // the paths tell those apart
    return names;
  }

  /** Keras 3: the group {@code vars} of a layer has its name as an attribute. */
  private void nameLayers() {
    for (String tensor : tensors.keySet()) {
      Matcher numbered = NUMBERED.matcher(tensor);
      if (numbered.matches()) {
        String layer = numbered.group(1);
        String weight = weight(layer, Integer.parseInt(numbered.group(2)));
        layerName(layer).ifPresent(name -> variableNames.put(tensor, name + "/" + weight));
      }
    }
  }

  private Optional<String> layerName(String layer) {
    StringBuilder name = new StringBuilder();
    String[] own = {};
    for (int end = 0; end < layer.length(); ) {
      int slash = layer.indexOf('/', end + 1);
      end = slash < 0 ? layer.length() : slash;
      own = contents.texts(contents.groups.get(layer.substring(0, end) + "/vars"), "name");
      name.append(own.length == 1 ? "/" + own[0] : "");
    }
    return own.length == 1 ? Optional.of(name.substring(1)) : Optional.empty();
  }

  /** Keras numbers weights in the order of their creation; what they are, their shapes tell. */
  private String weight(String layer, int number) {
    Info first = tensors.get(layer + "/vars/0");
    if (number > 1 || first == null) {
      return "vars/" + number;
    }
    int rank = first.shape().length;
    boolean isTable = rank == 2 && !tensors.containsKey(layer + "/vars/1");
    return isTable ? "embeddings" : (rank == 1 ? "gamma beta" : "kernel bias").split(" ")[number];
  }

  @Override
  public String format() {
    String hdf5 = modelConfig.isMissingNode() ? "Keras HDF5 weights" : "Keras HDF5 model";
    return isZip ? "Keras model" : hdf5;
  }

  @Override
  NpyArray read(String name, Info info, String where) {
    return contents.read(places.get(name), info);
  }
}
