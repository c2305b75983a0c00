package dev.performer.training.run;

import static dev.performer.PerformerException.require;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.WRITE;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.NativeErrors;
import dev.performer.training.run.Checkpoint.TrainingState;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * The directory of one training run, locked while this is open.
 *
 * <pre>
 * config.json           everything that was set, defaults included; recipe.yaml of a recipe
 * metrics.jsonl         one object per line
 * loss.png              training loss and validation perplexity
 * checkpoints/step-N/   variables, optimizer slots and state
 * last, best            names of checkpoints; changed after these are whole
 * stages/N              runs of the stages before, each as this
 * run.lock              held by the process that trains
 * </pre>
 *
 * <p>A checkpoint is written as {@code .step-N} and renamed when it is whole, so that killing the
 * process at any time leaves a directory to resume from.
 */
public final class RunDirectory implements AutoCloseable {
  /** The file of {@link Settings} that no recipe describes. */
  public static final String CONFIG = "config.json";

  private static final String STEP = "step-";
  private static final String LOCK = "run.lock";
  private static final String CHECKPOINTS = "checkpoints";
  private static final String STAGES = "stages";

  /** What a run leaves that was stopped before its first file. */
  private static final String BEGINNING =
      "run\\.lock|checkpoints|\\.(config\\.json|recipe\\.yaml)\\.part-.*";

  /** What may be there before the first checkpoint. */
  private static final String FIRST_FILES =
      "{run.lock,config.json,recipe.yaml,stages,.config.json.new,metrics.jsonl,source.json,loss.png,"
          + ".loss.png.new,.last.new,events.out.tfevents.*}";

  /** What a killed process left of files that it was writing. */
  private static final String PARTS =
      ".{config.json,recipe.yaml,metrics.jsonl,loss.png,gradient.png,report.md,last,best}.part-*";

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final Path root;
  private final Settings settings;
  private final FileChannel lock;
  private final boolean isNew;

  /**
   * Every setting of a run, defaults included.
   *
   * @param file that holds them in the run directory, JSON or YAML by its name; it marks the
   *     directory as a run
   * @param all what {@link ResumePolicy} compares
   * @param current turns settings that an earlier version wrote into ones of this form
   */
  public record Settings(String file, JsonNode all, UnaryOperator<JsonNode> current) {
    /** In {@link #CONFIG}, of a form that never changed. */
    public static Settings of(JsonNode all) {
      return new Settings(CONFIG, all, UnaryOperator.identity());
    }
  }

  private RunDirectory(Path root, Settings settings, boolean isNew) throws IOException {
    this.root = root;
    this.settings = settings;
    this.isNew = isNew;
    Files.createDirectories(root.resolve(CHECKPOINTS));
    lock = FileChannel.open(root.resolve(LOCK), CREATE, WRITE);
    if (!isLocked(lock)) {
      lock.close();
      String text = " is in use: another process trains there (it holds run.lock)";
      throw new PerformerException(root + text);
    }
  }

  /** Creates the directory, or opens that of an earlier run; tells which settings differ. */
  public static RunDirectory open(Path root, boolean resume, Settings settings, Progress progress) {
    String file = settings.file();
    // A run killed before it wrote its settings has the lock alone, and begins anew; settings alone
    // may be a person's own file.
    boolean isBegun = Files.exists(root.resolve(LOCK));
    boolean isRun = isBegun || Files.isDirectory(root.resolve(CHECKPOINTS));
    boolean holdsRun = isRun && Files.exists(root.resolve(file));
    boolean isNew = !Files.exists(root);
    require(!resume || holdsRun || isBegun, "%s holds no run to resume (no %s)", root, file);
    String text = "%s holds a run already; resume it or choose another directory";
    require(resume || !holdsRun, text, root);
    require(isNew || Files.isDirectory(root), "%s is a file; choose another directory", root);
    try {
      text = "%s exists and holds other files; choose an empty or new directory";
      require(isNew || holdsRun || holdsOnly(root, BEGINNING), text, root);
      RunDirectory run = new RunDirectory(root, settings, isNew);
      try {
        deleteAll(root.resolve(CHECKPOINTS), "." + STEP + "*");
        deleteAll(root, PARTS);
        run.compareSettings(progress);
      } catch (IOException | RuntimeException e) {
        run.close();
        throw e;
      }
      return run;
    } catch (IOException e) {
      throw failed("write to " + root, e);
    }
  }

  public Path root() {
    return root;
  }

  /** Where the run of a stage is, or would be, whose end this run goes on from. */
  public Path stage(int number) {
    return root.resolve(STAGES).resolve("" + number);
  }

  private boolean hasStages() throws IOException {
    Path stages = root.resolve(STAGES);
    return Files.isDirectory(stages) && !holdsOnly(stages, "");
  }

  /** Where the checkpoint of a step is, or would be. */
  public Path place(long step) {
    return root.resolve(CHECKPOINTS).resolve(STEP + step);
  }

  private void compareSettings(Progress progress) {
    Path file = root.resolve(settings.file());
    JsonNode now = settings.all();
    JsonNode was = Files.exists(file) ? settings.current().apply(StrictJson.readTree(file)) : now;
    List<String> changed = ResumePolicy.changes(was, now, root);
    if (!changed.isEmpty()) {
      progress.message("resumed with other settings: " + String.join(", ", changed));
    }
  }

  /** Records the settings. */
  public void writeSettings() {
    boolean isYaml = settings.file().endsWith(".yaml");
    var all = settings.all();
    try {
      String text = isYaml ? StrictJson.yaml(all) : JSON.writeValueAsString(all);
      AtomicFiles.write(root.resolve(settings.file()), text.getBytes(UTF_8));
    } catch (IOException e) {
      throw failed("write to " + root, e);
    }
  }

  /** Whether a checkpoint was ever whole. */
  public boolean hasSaved() {
    return Files.exists(root.resolve("last"));
  }

  /**
   * Writes a checkpoint beside its place, moves it there and points {@code last}, and {@code best}
   * if it is, to it. Then removes all but the newest and the best.
   *
   * @param writer saves the variables under a prefix
   */
  public void save(TrainingState state, int keep, Consumer<Path> writer) {
    Path place = place(state.step());
    Path unfinished = place.resolveSibling("." + place.getFileName());
    byte[] name = (place.getFileName() + "\n").getBytes(UTF_8);
    try {
      AtomicFiles.delete(unfinished);
      Files.createDirectory(unfinished);
      writer.accept(Checkpoint.prefix(unfinished));
      Checkpoint.seal(unfinished, state);
      AtomicFiles.delete(place);
      AtomicFiles.move(unfinished, place);
      AtomicFiles.write(root.resolve("last"), name);
      if (state.standsAtBest()) {
        AtomicFiles.write(root.resolve("best"), name);
      }
      prune(keep, state.step(), state.bestStep());
    } catch (IOException | RuntimeException e) {
      AtomicFiles.discard(unfinished);
      String advice = hasSaved() ? "resume: earlier checkpoints are intact" : "start again";
      String text = "cannot save checkpoint %s (%s); make room and %s";
      throw new PerformerException(text.formatted(place, describe(e), advice), e);
    }
  }

  /** The newest checkpoint that is whole. @param warn hears of each newer one that is not */
  public Optional<Checkpoint> newest(Consumer<String> warn) {
    for (long step : newestFirst()) {
      try {
        return Optional.of(Checkpoint.open(place(step)));
      } catch (IOException e) {
        warn.accept(place(step) + " is not whole (" + describe(e) + "); taking an older one");
      }
    }
    return Optional.empty();
  }

  /** The checkpoint of a step. @throws PerformerException if it is not there or not whole */
  public Checkpoint at(long step) {
    try {
      return Checkpoint.open(place(step));
    } catch (IOException e) {
      throw new PerformerException(place(step) + " is not whole: " + describe(e), e);
    }
  }

  /** Releases the lock; without a single whole checkpoint nothing is worth keeping. */
  @Override
  public void close() {
    boolean isHeld = lock.isOpen();
    try (lock) {
      if (isHeld && !hasSaved() && !hasStages()) {
        deleteAll(root, PARTS);
        deleteAll(root, FIRST_FILES);
        AtomicFiles.delete(root.resolve(CHECKPOINTS));
        if (isNew && holdsOnly(root, "")) {
          Files.delete(root);
        }
      }
    } catch (IOException e) {
      throw failed("release run.lock in " + root, e);
    }
  }

  /** What went wrong, in one line that begins with the kind of an exception. */
  public static String describe(Throwable e) {
    String kind = e instanceof PerformerException ? "" : e.getClass().getSimpleName() + ": ";
    return kind + NativeErrors.firstLine(e);
  }

  /** That a file of a run cannot be written, and that it can be resumed. */
  public static PerformerException unwritable(Path file, IOException e) {
    return new PerformerException(
        "cannot write %s: %s; make room and resume".formatted(file, describe(e)), e);
  }

  private static PerformerException failed(String what, IOException e) {
    return new PerformerException("cannot " + what + ": " + describe(e), e);
  }

  /** Of steps after the newest only damaged ones are there: the run went on from before them. */
  private void prune(int keep, long newest, long best) throws IOException {
    int kept = 0;
    for (long step : newestFirst()) {
      if (step > newest || kept++ >= keep && step != best) {
        AtomicFiles.delete(place(step));
      }
    }
  }

  private List<Long> newestFirst() {
    try (var list = Files.list(root.resolve(CHECKPOINTS))) {
      return list.map(path -> path.getFileName().toString())
          .filter(name -> name.matches(STEP + "\\d{1,18}"))
          .map(name -> Long.parseLong(name.substring(STEP.length())))
          .sorted(Comparator.reverseOrder())
          .toList();
    } catch (IOException e) {
      throw failed("read " + root, e);
    }
  }

  private static void deleteAll(Path folder, String glob) throws IOException {
    try (var list = Files.newDirectoryStream(folder, glob)) {
      for (Path path : list) {
        AtomicFiles.delete(path);
      }
    }
  }

  private static boolean holdsOnly(Path folder, String names) throws IOException {
    try (var list = Files.list(folder)) {
      return list.allMatch(path -> path.getFileName().toString().matches(names));
    }
  }

  private static boolean isLocked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) { // by this process
      return false;
    }
  }

  /** Which settings a run may go on with though they changed. */
  public static final class ResumePolicy {
    private static final Pattern FREE =
        Pattern.compile(
            "(stages\\.\\d+\\.)?(data\\.(train|validation)|evaluation\\.(sequences|target)|validation|training\\.(steps"
                + "|learningRate|learningRates(\\..*)?|schedule|warmupSteps|finalShare|clipNorm|labelSmoothing|zLoss"
                + "|optimizer\\.weightDecay|evaluateEvery|evaluationBatches|patience|checkpointEvery"
                + "|keepCheckpoints|logEvery|diagnosticsEvery|divergence|memoryCheck|memory|segmentLength|precision))");

    private ResumePolicy() {}

    /** Keys that changed and may. @throws PerformerException that names one that must not */
    public static List<String> changes(JsonNode was, JsonNode now, Path run) {
      List<String> changed = new ArrayList<>();
      compare("", was, now, changed);
      var fixed =
          changed.stream()
              .filter(change -> !FREE.matcher(change.substring(0, change.indexOf(' '))).matches())
              // Other keys may follow from this one.
              .min(Comparator.comparing(change -> !change.startsWith("training.xla ")));
      String text = "cannot resume %s: %s; resume with the same, or start in another directory";
      require(fixed.isEmpty(), text, run, fixed.orElse(""));
      return changed;
    }

    private static void compare(String path, JsonNode was, JsonNode now, List<String> changed) {
      if (was instanceof ObjectNode && now instanceof ObjectNode) {
        var keys = new TreeSet<String>();
        was.fieldNames().forEachRemaining(keys::add);
        now.fieldNames().forEachRemaining(keys::add);
        for (String key : keys) {
          String inner = path.isEmpty() ? key : path + "." + key;
          compare(inner, was.path(key), now.path(key), changed);
        }
      } else if (isOfObjects(was) && isOfObjects(now) && was.size() == now.size()) {
        for (int i = 0; i < now.size(); i++) {
          compare(path + "." + i, was.get(i), now.get(i), changed);
        }
      } else if (!same(was, now)) {
        changed.add(path + " was " + text(was) + " and is now " + text(now));
      }
    }

    private static boolean isOfObjects(JsonNode list) {
      boolean holds = list.isArray();
      for (JsonNode entry : list) {
        holds &= entry.isObject();
      }
      return holds;
    }

    /** 1 and 1.0 are the same number, and a key without a value is as one that is not there. */
    private static boolean same(JsonNode was, JsonNode now) {
      boolean isAbsent = was.isMissingNode() || was.isNull();
      return was.equals(now)
          || was.isNumber() && now.isNumber() && was.doubleValue() == now.doubleValue()
          || isAbsent && (now.isMissingNode() || now.isNull());
    }

    private static String text(JsonNode value) {
      String shown = value.isValueNode() ? value.asText() : value.toString();
      return value.isMissingNode() ? "absent" : shown;
    }
  }
}
