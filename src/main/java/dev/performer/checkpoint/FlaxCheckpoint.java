package dev.performer.checkpoint;

import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.SortedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A Flax checkpoint. Opening reads the structure only; values are read on demand. Complex numbers
 * come as real and imaginary parts in a last dimension of 2.
 *
 * @see <a
 *     href="https://github.com/google/flax/blob/main/flax/serialization.py">serialization.py</a>
 */
public final class FlaxCheckpoint extends OpenedWeights {
  private static final Pattern STEP =
      Pattern.compile("checkpoint_(-?[0-9]{1,18}(?:\\.[0-9]{1,18})?)");

  private final FileChannel channel;
  private final SortedMap<String, MsgpackTensor> places;

  private FlaxCheckpoint(Path path, FileChannel channel, SortedMap<String, MsgpackTensor> places) {
    super(path, "Flax msgpack");
    this.channel = channel;
    this.places = places;
    places.forEach((name, place) -> tensors.put(name, place.info()));
  }

  /**
   * Opens a file, or the newest checkpoint of a directory.
   *
   * @throws PerformerException if it is no whole Flax checkpoint
   */
  public static FlaxCheckpoint open(Path path) {
    Path file =
        locate(path)
            .orElseThrow(
                () ->
                    new PerformerException(
                        path + " holds no checkpoint_<step>; give the file itself"));
    return open(
        file,
        channel ->
            new FlaxCheckpoint(file, channel, new MsgpackStructure(file, channel).tensors()));
  }

  /**
   * The file that a path means: itself, the newest {@code checkpoint_<step>} of a directory, or the
   * {@code checkpoint} inside the directory that Orbax makes of one.
   *
   * @throws PerformerException if the newest checkpoint is one of sharded arrays
   */
  static Optional<Path> locate(Path path) {
    if (!Files.isDirectory(path)) {
      return Optional.of(path);
    }
    Optional<Path> newest = newest(path);
    if (newest.isPresent()) {
      Path found = newest.get();
      return Files.isDirectory(found) ? Optional.of(inside(found)) : newest;
    }
    boolean named = STEP.matcher(String.valueOf(path.toAbsolutePath().getFileName())).matches();
    return named ? Optional.of(inside(path)) : Optional.empty();
  }

  /** Whether a file begins as a msgpack map or as one array; a pickle is neither. */
  static boolean recognizes(byte[] head) {
    if (head.length == 0) {
      return false;
    }
    int first = head[0] & 0xff;
    boolean isMap = (first > 0x80 && first <= 0x8f) || first == 0xde || first == 0xdf;
    boolean isArray = first >= 0xc7 && first <= 0xc9 && head.length > 6;
    return isMap || isArray;
  }

  /** Whether a file's name is one that Flax gives. */
  static boolean isNamed(Path path) {
    String name = String.valueOf(path.getFileName());
    return STEP.matcher(name).matches() || name.endsWith(".msgpack");
  }

  private static Path inside(Path directory) {
    Path file = directory.resolve("checkpoint");
    if (!Files.isRegularFile(file)) {
      throw new PerformerException(
          directory
              + " is a checkpoint directory without a file 'checkpoint': its arrays are sharded,"
              + " which is not read here; save it with flax.training.checkpoints instead");
    }
    return file;
  }

  private static Optional<Path> newest(Path directory) {
    try (Stream<Path> children = Files.list(directory)) {
      return children
          .filter(child -> STEP.matcher(child.getFileName().toString()).matches())
          .max(Comparator.comparing(FlaxCheckpoint::step));
    } catch (IOException e) {
      throw new PerformerException(directory + " cannot be listed: " + AtomicFiles.describe(e), e);
    }
  }

  private static BigDecimal step(Path path) {
    Matcher matcher = STEP.matcher(path.getFileName().toString());
    return matcher.matches() ? new BigDecimal(matcher.group(1)) : BigDecimal.ZERO;
  }

  /** Where {@code config.gin} would lie: beside the checkpoint, whatever form that has. */
  Path directory() {
    Path parent = path().toAbsolutePath().getParent();
    boolean orbax =
        path().getFileName().toString().equals("checkpoint")
            && STEP.matcher(String.valueOf(parent.getFileName())).matches();
    return orbax && parent.getParent() != null ? parent.getParent() : parent;
  }

  @Override
  public NpyArray read(String name) {
    MsgpackTensor place = places.get(name);
    if (place == null) {
      throw new PerformerException(path() + " has no tensor " + name);
    }
    int size = place.type().bytes();
    if (place.info().bytes() / size * Math.max(4, size) > Integer.MAX_VALUE - 16) {
      throw new PerformerException(
          path() + ": tensor " + name + " of " + place.info().bytes() + " bytes is too large");
    }
    byte[] bytes = new byte[(int) place.info().bytes()];
    try {
      ByteBuffer into = ByteBuffer.wrap(bytes);
      for (MsgpackTensor.Piece piece : place.pieces()) {
        into.limit(into.position() + (int) piece.bytes());
        read(channel, piece.offset(), into);
      }
    } catch (IOException e) {
      throw new PerformerException(
          path() + ": tensor " + Excerpt.of(name) + " cannot be read: " + AtomicFiles.describe(e),
          e);
    }
    if (place.bigEndian()) {
      place.type().reverse(bytes);
    }
    return place.type().array(bytes, place.info().shape(), path() + ": tensor " + Excerpt.of(name));
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing was written: what was read is right all the same.
    }
  }
}
