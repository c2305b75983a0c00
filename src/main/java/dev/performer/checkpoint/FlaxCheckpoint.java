package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.data.NpyArray;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A Flax checkpoint. Opening reads the structure only.
 *
 * @see <a
 *     href="https://github.com/google/flax/blob/main/flax/serialization.py">serialization.py</a>
 */
final class FlaxCheckpoint extends WeightFile {
  private static final Pattern STEP =
      Pattern.compile("checkpoint_(-?[0-9]{1,18}(?:\\.[0-9]{1,18})?)");

  private final FileChannel channel;
  private final SortedMap<String, MsgpackStructure.Tensor> places;

  private FlaxCheckpoint(Path path, FileChannel channel) throws IOException {
    super(path, "Flax msgpack", channel);
    this.channel = channel;
    this.places = new MsgpackStructure(path, channel).tensors();
    places.forEach((name, place) -> tensors.put(name, place.info()));
  }

  /** Opens a file, or the newest checkpoint of a directory. */
  static FlaxCheckpoint open(Path path) {
    Path file = locate(path).orElse(null);
    require(file != null, "%s holds no checkpoint_<step>; give the file itself", path);
    return open(file, channel -> new FlaxCheckpoint(file, channel));
  }

  /** The file itself, the newest of a directory, or what a directory of Orbax' has inside. */
  static Optional<Path> locate(Path path) {
    if (!Files.isDirectory(path)) {
      return Optional.of(path);
    }
    Path itself = step(path) == null ? null : path;
    Path found = newest(path, FlaxCheckpoint::step).orElse(itself);
    if (found == null || !Files.isDirectory(found)) {
      return Optional.ofNullable(found);
    }
    Path file = found.resolve("checkpoint");
    String sharded =
        "%s has no file 'checkpoint': sharded arrays are not read; save it with flax.training.checkpoints";
    require(Files.isRegularFile(file), sharded, found);
    return Optional.of(file);
  }

  /** Whether a directory holds one, or a file begins as a msgpack map or array; no pickle does. */
  static boolean recognizes(Path file) {
    if (Files.isDirectory(file)) {
      return locate(file).isPresent();
    }
    byte[] head = head(file, 16);
    int first = head.length == 0 ? 0 : head[0] & 0xff;
    boolean isMap = (first > 0x80 && first <= 0x8f) || first == 0xde || first == 0xdf;
    boolean isArray = first >= 0xc7 && first <= 0xc9 && head.length > 6;
    return isMap || isArray;
  }

  /** Whether a file's name is one that Flax gives. */
  static boolean isNamed(Path path) {
    return step(path) != null || path.toString().endsWith(".msgpack");
  }

  /** The step in a path's name; null if it has none. */
  private static BigDecimal step(Path path) {
    Matcher matcher = STEP.matcher(String.valueOf(path.toAbsolutePath().getFileName()));
    return matcher.matches() ? new BigDecimal(matcher.group(1)) : null;
  }

  @Override
  Path folder() {
    Path parent = path().toAbsolutePath().getParent();
    boolean isOrbax = path().endsWith("checkpoint") && step(parent) != null;
    return isOrbax && parent.getParent() != null ? parent.getParent() : parent;
  }

  @Override
  NpyArray read(String name, Info info, String where) throws IOException {
    MsgpackStructure.Tensor place = places.get(name);
    ByteBuffer into = ByteBuffer.allocate((int) info.bytes());
    for (MsgpackStructure.Piece piece : place.pieces()) {
      read(channel, piece.offset(), into.limit(into.position() + (int) piece.bytes()));
    }
    if (place.bigEndian()) {
      place.type().reverse(into.array());
    }
    return place.type().array(into.array(), info.shape(), where);
  }

  /**
   * Where the parameters are: in a tree of them alone, or in an optimizer's {@code target}, beside
   * its {@code state}. The prefix is theirs, such as {@code target/params/}.
   */
  record Parameters(WeightFile file, String prefix) {
    static final String TARGET = "target/";
    static final String STATE = "state/";

    /** The place of the one parameter whose path ends so; empty if there is none. */
    static Optional<Parameters> find(WeightFile file, String last) {
      return file.tensors().keySet().stream()
          .filter(name -> name.equals(last) || name.endsWith("/" + last))
          .filter(name -> !name.startsWith(STATE))
          .map(name -> new Parameters(file, name.substring(0, name.length() - last.length())))
          .findFirst();
    }

    /** As {@link #find}, but it must be there, and no preset but this one be given. */
    static Parameters of(WeightMap map, String last, String preset) {
      String given = map.options.preset();
      String wrong = "preset %s does not fit its names; use the preset %s or none";
      map.checkGiven("preset", given == null || given.equals(preset), wrong, given, preset);
      return find(map.file, last).orElseThrow(() -> map.wrong("there is no %s", last));
    }

    /** Tensors by their names without the prefix. */
    Map<String, String> names() {
      Map<String, String> names = new TreeMap<>();
      for (String tensor : file.tensors().keySet()) {
        if (tensor.startsWith(prefix) && !(prefix.isEmpty() && tensor.startsWith(STATE))) {
          names.put(tensor.substring(prefix.length()), tensor);
        }
      }
      return names;
    }

    /** Tells the map that the optimizer's own tensors are known. */
    void ignoreState(WeightMap map) {
      if (prefix.startsWith(TARGET)) {
        file.tensors().keySet().stream().filter(n -> n.startsWith(STATE)).forEach(map::ignore);
      }
    }
  }
}
