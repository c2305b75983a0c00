package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;

/**
 * A msgpack file as {@code flax.training.checkpoints} writes it. Names are paths in its tree.
 *
 * @see <a
 *     href="https://github.com/google/flax/blob/main/flax/training/checkpoints.py">checkpoints.py</a>
 */
final class FlaxCheckpoint implements WeightFile {
  private static final Pattern NAME = Pattern.compile("checkpoint_(\\d{1,18})");

  private final Path file;
  private final FlaxTree tree;
  private final FileChannel channel;
  private final SortedMap<String, Info> tensors = new TreeMap<>();

  private FlaxCheckpoint(Path file, FlaxTree tree, FileChannel channel) {
    this.file = file;
    this.tree = tree;
    this.channel = channel;
    tree.leaves.forEach(
        (name, leaf) -> tensors.put(name, new Info(leaf.type(), leaf.shape(), leaf.length())));
  }

  /**
   * The checkpoint file that a path means: itself, the newest {@code checkpoint_N} of a directory,
   * or the {@code checkpoint} inside a directory as Orbax makes it.
   */
  static Optional<Path> find(Path path) {
    if (Files.isRegularFile(path)) {
      return isMsgpack(path) ? Optional.of(path) : Optional.empty();
    }
    List<Path> numbered = new ArrayList<>();
    try (Stream<Path> entries = Files.list(path)) {
      entries.filter(p -> number(p) >= 0).forEach(numbered::add);
    } catch (IOException e) {
      throw new PerformerException(path + ": cannot be listed: " + e.getMessage(), e);
    }
    numbered.sort(Comparator.comparingLong(FlaxCheckpoint::number));
    Path newest = numbered.isEmpty() ? path : numbered.get(numbered.size() - 1);
    if (Files.isRegularFile(newest)) {
      return Optional.of(newest);
    }
    Path inside = newest.resolve("checkpoint");
    return Files.isRegularFile(inside) && isMsgpack(inside)
        ? Optional.of(inside)
        : Optional.empty();
  }

  /** The step in a file's name, −1 if it has none. */
  static long number(Path path) {
    Path name = path.getFileName();
    Matcher matcher = NAME.matcher(name == null ? "" : name.toString());
    return matcher.matches() ? Long.parseLong(matcher.group(1)) : -1;
  }

  /** By the first byte, or by its name where the file is broken. */
  private static boolean isMsgpack(Path path) {
    Path name = path.getFileName();
    if (number(path) >= 0 || name.toString().endsWith(".msgpack")) {
      return true;
    }
    try (var in = Files.newInputStream(path)) {
      int first = in.read();
      // A map; "{" of JSON and letters are none of these.
      return first >= 0x80 && first <= 0x8f || first == 0xde || first == 0xdf;
    } catch (IOException e) {
      throw new PerformerException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Opens a file. @throws PerformerException if it is no whole msgpack tree */
  static FlaxCheckpoint open(Path file) {
    FileChannel channel = null;
    try {
      channel = FileChannel.open(file, StandardOpenOption.READ);
      try (FileChannel parsed = FileChannel.open(file, StandardOpenOption.READ);
          MessageUnpacker in = MessagePack.newDefaultUnpacker(parsed)) {
        return new FlaxCheckpoint(file, FlaxParser.parse(in, channel.size()), channel);
      }
    } catch (IOException | PerformerException e) {
      closeQuietly(channel);
      throw new PerformerException(file + ": no whole Flax checkpoint: " + e.getMessage(), e);
    } catch (RuntimeException e) {
      closeQuietly(channel);
      throw e;
    }
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // Only read from: nothing is lost.
    }
  }

  /** Paths of maps without entries: modules without parameters. */
  Set<String> emptyMaps() {
    return Collections.unmodifiableSet(tree.emptyMaps);
  }

  @Override
  public Path path() {
    return file;
  }

  @Override
  public String format() {
    return "Flax msgpack";
  }

  @Override
  public SortedMap<String, Info> tensors() {
    return Collections.unmodifiableSortedMap(tensors);
  }

  @Override
  public NpyArray read(String name) {
    FlaxLeaf leaf = tree.leaves.get(name);
    if (leaf == null) {
      throw new PerformerException(file + ": has no tensor " + name);
    }
    if (leaf.length() > Integer.MAX_VALUE / 2) {
      throw new PerformerException(
          file + ", tensor " + name + ": " + leaf.length() + " bytes are too many for one array");
    }
    try {
      NpyType type = FlaxTypes.readAs(leaf.type());
      return new NpyArray(type, leaf.shape(), widened(leaf.type(), bytes(leaf)));
    } catch (PerformerException | IOException e) {
      throw new PerformerException(file + ", tensor " + name + ": " + e.getMessage(), e);
    }
  }

  private byte[] bytes(FlaxLeaf leaf) throws IOException {
    ByteBuffer out = ByteBuffer.allocate((int) leaf.length()).order(ByteOrder.LITTLE_ENDIAN);
    if (leaf.number() instanceof List<?> chunks) {
      for (Object chunk : chunks) {
        fill(out, (FlaxLeaf) chunk);
      }
    } else if (leaf.number() instanceof Long whole) {
      out.putLong(whole);
    } else if (leaf.number() instanceof Double real) {
      out.putDouble(real);
    } else if (leaf.number() instanceof Boolean flag) {
      out.put((byte) (flag ? 1 : 0));
    } else {
      fill(out, leaf);
    }
    return out.array();
  }

  private void fill(ByteBuffer out, FlaxLeaf leaf) throws IOException {
    ByteBuffer part = out.slice(out.position(), (int) leaf.length());
    long at = leaf.offset();
    while (part.hasRemaining()) {
      int read = channel.read(part, at);
      if (read < 0) {
        throw new PerformerException("the file became shorter while it was read");
      }
      at += read;
    }
    out.position(out.position() + (int) leaf.length());
  }

  private static byte[] widened(String type, byte[] bytes) {
    boolean isBrain = type.equals("bfloat16");
    if (!isBrain && !type.equals("float16")) {
      return bytes;
    }
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    ByteBuffer out = ByteBuffer.allocate(bytes.length * 2).order(ByteOrder.LITTLE_ENDIAN);
    while (in.hasRemaining()) {
      short half = in.getShort();
      out.putInt(isBrain ? half << 16 : HalfFloat.bits(half));
    }
    return out.array();
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }
}
