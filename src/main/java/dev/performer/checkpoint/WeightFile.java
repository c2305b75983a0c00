package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.performer.AtomicFiles;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import java.util.zip.ZipFile;

/**
 * The tensors of a foreign format by its own names, with {@code /} between levels. Values are read
 * on demand; whoever opened it closes it.
 */
public abstract class WeightFile implements AutoCloseable {
  private static final int LARGEST_ARRAY = Integer.MAX_VALUE - 16;

  /** A tensor's element type as the file has it, such as {@code bfloat16}, and its size there. */
  public record Info(String type, long[] shape, long bytes) {
    @Override
    public String toString() {
      return type + Arrays.toString(shape);
    }
  }

  /** Makes something of an open source, and owns it then. */
  interface Opener<S, T> {
    T open(S source) throws IOException;
  }

  private final Path path;
  private final String format;
  private final Closeable source;
  final SortedMap<String, Info> tensors = new TreeMap<>();
  final SortedMap<String, Info> trainingState = new TreeMap<>();
  final Map<String, String> variableNames = new HashMap<>();

  /** The model's configuration as Keras wrote it: an object with {@code class_name, config}. */
  JsonNode modelConfig = MissingNode.getInstance();

  /** The source is closed with this. */
  WeightFile(Path path, String format, Closeable source) {
    this.path = path;
    this.format = format;
    this.source = source;
  }

  /** Opens a file; it is closed again where the opener fails. */
  static <T> T open(Path file, Opener<FileChannel, T> opener) {
    try {
      return owning(RegularFiles.open(file), opener);
    } catch (IOException e) {
      throw unreadable(file, e);
    }
  }

  /** What an opener makes; the source is closed where it fails. */
  static <S extends Closeable, T> T owning(S source, Opener<S, T> opener) throws IOException {
    try {
      return opener.open(source);
    } catch (Throwable e) {
      source.close();
      throw e;
    }
  }

  /** The first bytes of a file, as many as there are; none if it cannot be read. */
  static byte[] head(Path file, int bytes) {
    try (InputStream in = RegularFiles.newInputStream(file)) {
      return in.readNBytes(bytes);
    } catch (IOException e) {
      return new byte[0];
    }
  }

  /** Whether a file is a zip with an entry of such a name. */
  static boolean isZipWith(Path file, Predicate<String> name) {
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.stream().anyMatch(entry -> name.test(entry.getName()));
    } catch (IOException | IllegalArgumentException e) { // which are names that are no UTF-8
      return false;
    }
  }

  /** The entry of a directory with the largest number, and then name; a null is no number. */
  static <N extends Comparable<N>> Optional<Path> newest(Path folder, Function<Path, N> number) {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .filter(entry -> number.apply(entry) != null)
          .max(Comparator.comparing(number).thenComparing(Path::compareTo));
    } catch (IOException e) {
      throw unreadable(folder, e);
    }
  }

  static PerformerException unreadable(Object place, IOException e) {
    return new PerformerException(place + " cannot be read: " + AtomicFiles.describe(e), e);
  }

  /** Fills a buffer with what stands in a file from a position on. */
  static void read(FileChannel channel, long position, ByteBuffer into) throws IOException {
    long from = position - into.position();
    while (into.hasRemaining()) {
      if (channel.read(into, from + into.position()) < 0) {
        throw new EOFException("it ends too early");
      }
    }
  }

  /** What was opened. */
  public Path path() {
    return path;
  }

  /** The format's name for people, such as {@code Flax msgpack}. */
  public String format() {
    return format;
  }

  /** What is there, without values. */
  public SortedMap<String, Info> tensors() {
    return Collections.unmodifiableSortedMap(tensors);
  }

  /** Moments of optimizers, counters and such, which {@link #tensors} lacks. */
  public SortedMap<String, Info> trainingState() {
    return Collections.unmodifiableSortedMap(trainingState);
  }

  /** The name that a variable had in Python, without {@code :0}, as far as the file has it. */
  String variable(String tensor) {
    return variableNames.getOrDefault(tensor, tensor).replaceFirst(":0$", "");
  }

  /** File and tensor, for errors. */
  String where(String tensor) {
    return path + ", tensor " + Excerpt.of(tensor);
  }

  /** The {@code config.json} beside the file; an empty object where there is none. */
  JsonNode neighbourConfig() {
    return configIn(folder());
  }

  /** As {@link #neighbourConfig}, looking one folder higher too. */
  JsonNode nearConfig() {
    Path parent = folder().toAbsolutePath().getParent();
    boolean isBeside = parent == null || Files.isRegularFile(folder().resolve("config.json"));
    return configIn(isBeside ? folder() : parent);
  }

  /** Where what belongs to a checkpoint would lie: beside it, whatever form that has. */
  Path folder() {
    return Files.isDirectory(path) ? path : path.toAbsolutePath().getParent();
  }

  static JsonNode configIn(Path folder) {
    Path file = folder.resolve("config.json");
    JsonNode tree = Files.isRegularFile(file) ? StrictJson.readTree(file) : null;
    return tree != null && tree.isObject() ? tree : JsonNodeFactory.instance.objectNode();
  }

  /** Reads a tensor; narrow floats are widened to float32. Errors name file and tensor. */
  public final NpyArray read(String name) {
    Info info = tensors.getOrDefault(name, trainingState.get(name));
    String where = where(name);
    require(info != null, "%s: there is none of that name", where);
    long wide = 4 * LongStream.of(info.shape()).reduce(1, (a, b) -> a * b); // as float32
    boolean fits = Math.max(info.bytes(), wide) <= LARGEST_ARRAY;
    require(fits, "%s: above the 2 GiB that one tensor may have", where);
    try {
      return read(name, info, where);
    } catch (IOException e) {
      throw unreadable(where, e);
    }
  }

  /** Reads a tensor that is there and not too large. */
  abstract NpyArray read(String name, Info info, String where) throws IOException;

  @Override
  public void close() {
    try {
      source.close();
    } catch (IOException e) {
      // Nothing was written: what was read is right all the same.
    }
  }
}
