package dev.performer.attention;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.DataFile;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.proto.ConfigProto;

/**
 * What was measured to be the fastest on a machine, for what is not configured. It changes rounding
 * and time, nothing else. A file in the user's cache folder keeps it, by processor and cores; one
 * that cannot be read counts as none.
 *
 * @param processor its model
 * @param threads inside of an op; 0 for TensorFlow's own choice
 * @param chunks of causal attention, by sizes
 */
public record MachineTuning(String processor, int cores, int threads, List<Chunk> chunks) {
  /** A system property: another file than the usual one, or {@code none}. */
  public static final String PROPERTY = "performer.tuning";

  private static final String NONE = "none";
  private static final Path PROCESSORS = Path.of("/proc/cpuinfo");
  private static volatile Consumer<String> listener = line -> {};

  /** The chunk length of R features and values of size V. */
  public record Chunk(int features, int valueSize, int length) {
    /** Checks. */
    public Chunk {
      boolean isFit = features > 0 && valueSize > 0 && length > 0;
      require(isFit, "sizes and lengths of chunks must be at least 1");
    }
  }

  /** Of this process, read when first needed. */
  private static final class Current {
    static final MachineTuning TUNING = read();

    private static MachineTuning read() {
      MachineTuning none = new MachineTuning(processorModel(), available(), 0, List.of());
      Path file = file();
      if (file == null || !Files.exists(file)) {
        return none;
      }
      try {
        MachineTuning read = StrictJson.read(file, MachineTuning.class);
        boolean isOurs = read.processor.equals(none.processor) && read.cores == none.cores;
        require(isOurs, "%s: is of another machine", file);
        return read;
      } catch (PerformerException e) {
        listener.accept(e.getMessage() + "; ignored, tune this machine again");
        return none;
      }
    }
  }

  /** Checks. */
  public MachineTuning {
    require(processor != null && chunks != null, "processor and chunks are needed");
    require(cores > 0 && threads >= 0 && threads <= cores, "threads must be from 0 to cores");
    chunks = List.copyOf(chunks);
  }

  /** Hears, in one line, of a file that is ignored. */
  public static void listen(Consumer<String> ear) {
    listener = ear;
  }

  /** Where this machine's is kept; null where none is wanted. */
  public static Path file() {
    String chosen = System.getProperty(PROPERTY);
    if (chosen != null) {
      return chosen.equals(NONE) ? null : Path.of(chosen);
    }
    String cache = System.getenv("XDG_CACHE_HOME");
    boolean isSet = cache != null && Path.of(cache).isAbsolute();
    Path folder = isSet ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
    String machine = processorModel().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
    return folder.resolve("performer").resolve("tuning-" + machine + "-" + available() + ".json");
  }

  /** Of this machine. */
  public static MachineTuning of(int threads, List<Chunk> chunks) {
    return new MachineTuning(processorModel(), available(), threads, chunks);
  }

  /** Keeps it for later processes. @throws PerformerException if it cannot be written */
  public void write(Path file) {
    byte[] json = (StrictJson.tree(this).toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8);
    DataFile.write(file, out -> out.write(json));
  }

  /** C for causal attention where none is configured; empty where it was not tuned. */
  static OptionalInt chunk(long features, long valueSize) {
    return Current.TUNING.chunks.stream()
        .filter(c -> c.features == features && c.valueSize == valueSize)
        .mapToInt(Chunk::length)
        .findFirst();
  }

  /**
   * Settles the threads inside of ops for all sessions of this process, where other than
   * TensorFlow's own number was the fastest. The first session decides; later calls change nothing.
   */
  public static void settleThreads() {
    int wanted = Current.TUNING.threads;
    if (wanted > 0 && wanted != available() && System.getenv("TF_NUM_INTRAOP_THREADS") == null) {
      Settled.by(wanted);
    }
  }

  /** Once a process. */
  private static final class Settled {
    private static boolean isSettled;

    private Settled() {}

    static synchronized void by(int threads) {
      if (!isSettled) {
        isSettled = true;
        try (Graph graph = new Graph();
            Session session = new Session(graph, false, threads(threads))) {
          session.runner(); // it exists: that is all
        }
      }
    }
  }

  /** A session's configuration with so many threads inside of an op. */
  public static ConfigProto threads(int count) {
    return ConfigProto.newBuilder().setIntraOpParallelismThreads(count).build();
  }

  private static int available() {
    return Runtime.getRuntime().availableProcessors();
  }

  /** As Linux names it; elsewhere the kind of processor. */
  private static String processorModel() {
    try (var lines = Files.lines(PROCESSORS)) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElseGet(() -> System.getProperty("os.arch"));
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }
  }
}
