package dev.performer.training.run;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.graph.NativeErrors;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * The directory of one training run, locked while this is open.
 *
 * <pre>
 * config.json           everything that was set, defaults included; recipe.yaml of a recipe
 * metrics.jsonl         one object per line
 * loss.png              training loss and validation perplexity
 * checkpoints/step-N/   variables, optimizer slots and state
 * last, best            names of checkpoints; changed after these are whole
 * run.lock              held by the process that trains
 * </pre>
 *
 * <p>A checkpoint is written as {@code .step-N} and renamed when it is whole, so that killing the
 * process at any time leaves a directory to resume from.
 */
public final class RunDirectory implements AutoCloseable {
  private static final String STEP = "step-";

  /** What may be there before the first checkpoint. */
  private static final List<String> FIRST_FILES =
      List.of(
          "run.lock",
          "config.json",
          "recipe.yaml",
          ".config.json.new",
          "metrics.jsonl",
          "source.json",
          "loss.png",
          ".loss.png.new",
          ".last.new");

  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final Path root;
  private final RunSettings settings;
  private final FileChannel lockChannel;
  private final boolean isNew;

  private RunDirectory(Path root, RunSettings settings, FileChannel lockChannel, boolean isNew) {
    this.root = root;
    this.settings = settings;
    this.lockChannel = lockChannel;
    this.isNew = isNew;
  }

  /**
   * Creates the directory, or opens the one of an earlier run.
   *
   * @param resume whether an earlier run shall go on
   * @param progress hears which settings differ
   * @throws PerformerException if there is an earlier run that shall not go on or none that shall,
   *     if it had settings that must not change, if another process trains there, or it cannot be
   *     written
   */
  public static RunDirectory open(
      Path root, boolean resume, RunSettings settings, Progress progress) {
    String configFile = settings.file();
    // A run killed before it wrote its settings has the lock alone, and begins anew; settings alone
    // may be a person's own file.
    boolean isBegun = Files.exists(root.resolve("run.lock"));
    boolean isOther = !isBegun && !Files.isDirectory(root.resolve("checkpoints"));
    boolean holdsRun = Files.exists(root.resolve(configFile)) && !isOther;
    if (resume && !holdsRun && !isBegun) {
      throw new PerformerException(root + " holds no run to resume (no " + configFile + ")");
    }
    if (!resume && holdsRun) {
      throw new PerformerException(
          root + " holds a run already; resume it or choose another directory");
    }
    boolean isNew = !Files.exists(root);
    if (!isNew && !Files.isDirectory(root)) {
      throw new PerformerException(root + " is a file; choose another directory for the run");
    }
    try {
      if (!holdsRun && Files.isDirectory(root) && !holdsOnlyLock(root)) {
        throw new PerformerException(
            root + " exists and holds other files; choose an empty or new directory");
      }
      Files.createDirectories(root.resolve("checkpoints"));
      FileChannel channel =
          FileChannel.open(
              root.resolve("run.lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (!lock(channel)) {
        channel.close();
        throw new PerformerException(
            root + " is in use: another process trains there (it holds run.lock)");
      }
      RunDirectory run = new RunDirectory(root, settings, channel, isNew);
      try {
        run.removeUnfinished();
        run.compareSettings(progress);
      } catch (IOException | RuntimeException e) {
        run.close();
        throw e;
      }
      return run;
    } catch (IOException e) {
      throw new PerformerException("cannot write to " + root + ": " + describe(e), e);
    }
  }

  Path metrics() {
    return root.resolve("metrics.jsonl");
  }

  Path lossPlot() {
    return root.resolve("loss.png");
  }

  private void compareSettings(Progress progress) {
    Path file = root.resolve(settings.file());
    if (Files.exists(file)) {
      JsonNode was = settings.current().apply(StrictJson.readTree(file));
      ResumePolicy.report(was, settings.settings(), root, progress);
    }
  }

  /** Records the settings. */
  public void writeSettings() {
    try {
      String text =
          settings.file().endsWith(".yaml")
              ? StrictJson.yaml(settings.settings())
              : JSON.writeValueAsString(settings.settings());
      AtomicFiles.write(root.resolve(settings.file()), text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new PerformerException("cannot write to " + root + ": " + describe(e), e);
    }
  }

  /** Whether a checkpoint was ever whole. */
  public boolean hasSaved() {
    return Files.exists(root.resolve("last"));
  }

  public Path root() {
    return root;
  }

  /**
   * Writes a checkpoint beside its place, moves it there and points {@code last}, and {@code best}
   * if it is, to it. Then removes all but the newest and the best.
   *
   * @param writer saves the variables under the prefix it is given
   * @throws PerformerException if that fails; earlier checkpoints are as they were
   */
  public Checkpoint save(TrainingState state, int keep, Consumer<Path> writer) {
    Path checkpoints = root.resolve("checkpoints");
    String name = STEP + state.step();
    Path unfinished = checkpoints.resolve("." + name);
    Path place = checkpoints.resolve(name);
    try {
      AtomicFiles.delete(unfinished);
      Files.createDirectory(unfinished);
      writer.accept(Checkpoint.prefix(unfinished));
      Checkpoint.seal(unfinished, state);
      AtomicFiles.delete(place);
      AtomicFiles.move(unfinished, place);
      AtomicFiles.write(root.resolve("last"), (name + "\n").getBytes(StandardCharsets.UTF_8));
      if (state.standsAtBest()) {
        AtomicFiles.write(root.resolve("best"), (name + "\n").getBytes(StandardCharsets.UTF_8));
      }
      prune(keep, state.step(), state.bestStep());
      return new Checkpoint(place, state);
    } catch (IOException | RuntimeException e) {
      try {
        AtomicFiles.delete(unfinished);
      } catch (IOException suppressed) {
        e.addSuppressed(suppressed);
      }
      throw new PerformerException(
          "cannot save checkpoint "
              + place
              + " ("
              + describe(e)
              + (Files.exists(root.resolve("last"))
                  ? "); earlier checkpoints are intact: make room and resume"
                  : "); make room and start again"),
          e);
    }
  }

  /**
   * The newest checkpoint that is whole.
   *
   * @param warn hears of each newer one that is not
   */
  public Optional<Checkpoint> newest(Consumer<String> warn) {
    for (long step : steps().stream().sorted(Comparator.reverseOrder()).toList()) {
      Path directory = directory(step);
      try {
        return Optional.of(Checkpoint.open(directory));
      } catch (IOException e) {
        warn.accept(directory + " is not whole (" + describe(e) + "); taking an older one");
      }
    }
    return Optional.empty();
  }

  /**
   * The checkpoint of a step.
   *
   * @throws PerformerException if it is not there or not whole
   */
  public Checkpoint at(long step) {
    try {
      return Checkpoint.open(directory(step));
    } catch (IOException e) {
      throw new PerformerException(directory(step) + " is not whole: " + describe(e), e);
    }
  }

  /** Releases the lock; without a single whole checkpoint nothing is worth keeping. */
  @Override
  public void close() {
    if (!lockChannel.isOpen()) {
      return;
    }
    try {
      if (!Files.exists(root.resolve("last"))) {
        removeTraces();
      }
      lockChannel.close();
    } catch (IOException e) {
      throw new PerformerException("cannot release run.lock in " + root + ": " + describe(e), e);
    }
  }

  public static String describe(Throwable e) {
    String kind = e instanceof PerformerException ? "" : e.getClass().getSimpleName() + ": ";
    return kind + NativeErrors.firstLine(e);
  }

  private Path directory(long step) {
    return root.resolve("checkpoints").resolve(STEP + step);
  }

  /** Of steps after the newest only damaged ones are there: the run went on from before them. */
  private void prune(int keep, long newest, long best) throws IOException {
    List<Long> steps = steps().stream().sorted(Comparator.reverseOrder()).toList();
    int kept = 0;
    for (long step : steps) {
      if (step > newest || kept++ >= keep && step != best) {
        AtomicFiles.delete(directory(step));
      }
    }
  }

  private List<Long> steps() {
    List<Long> steps = new ArrayList<>();
    try (DirectoryStream<Path> list =
        Files.newDirectoryStream(root.resolve("checkpoints"), STEP + "*")) {
      for (Path path : list) {
        String number = path.getFileName().toString().substring(STEP.length());
        if (number.matches("\\d{1,18}")) {
          steps.add(Long.parseLong(number));
        }
      }
      return steps;
    } catch (IOException e) {
      throw new PerformerException("cannot read " + root + ": " + describe(e), e);
    }
  }

  private void removeUnfinished() throws IOException {
    try (DirectoryStream<Path> list =
        Files.newDirectoryStream(root.resolve("checkpoints"), "." + STEP + "*")) {
      for (Path path : list) {
        AtomicFiles.delete(path);
      }
    }
    removeParts();
  }

  /** What a killed process left of files that it was writing. */
  private void removeParts() throws IOException {
    try (DirectoryStream<Path> list =
        Files.newDirectoryStream(
            root,
            ".{config.json,recipe.yaml,metrics.jsonl,loss.png,gradient.png,report.md,last,best}.part-*")) {
      for (Path path : list) {
        AtomicFiles.delete(path);
      }
    }
  }

  private void removeTraces() throws IOException {
    removeParts();
    for (String file : FIRST_FILES) {
      Files.deleteIfExists(root.resolve(file));
    }
    try (DirectoryStream<Path> list = Files.newDirectoryStream(root, EventFile.PREFIX + "*")) {
      for (Path path : list) {
        AtomicFiles.delete(path);
      }
    }
    AtomicFiles.delete(root.resolve("checkpoints"));
    if (isNew && isEmpty(root)) {
      Files.delete(root);
    }
  }

  private static boolean isEmpty(Path folder) throws IOException {
    try (Stream<Path> list = Files.list(folder)) {
      return list.findAny().isEmpty();
    }
  }

  private static boolean holdsOnlyLock(Path root) throws IOException {
    // What a run leaves that was stopped before its first file.
    try (Stream<Path> list = Files.list(root)) {
      return list.map(path -> path.getFileName().toString())
          .allMatch(
              name ->
                  name.equals("run.lock")
                      || name.equals("checkpoints")
                      || name.startsWith(".config.json.part-")
                      || name.startsWith(".recipe.yaml.part-"));
    }
  }

  private static boolean lock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }
}
