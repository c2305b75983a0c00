package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import dev.performer.AtomicFiles;
import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.pipeline.Model;
import dev.performer.pipeline.Predictor;
import dev.performer.server.models.ModelConfig.Policy;
import dev.performer.server.models.ModelStatus.Code;
import dev.performer.server.models.ModelStatus.State;
import dev.performer.server.models.VersionFolder.Content;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;

/** The versions of one model. One thread at a time changes them, any number leases them. */
final class VersionedModel {
  /** Versions that are gone and still have a status. */
  private static final int MOST_ENDED = 16;

  private final RepositoryOptions options;
  private final Memory memory;
  private final NavigableMap<Long, ModelStatus> statuses = new ConcurrentSkipListMap<>();
  private final Map<Long, Content> loaded = new HashMap<>();
  private final Map<Long, Content> seen = new HashMap<>();
  private final Map<Long, Content> failed = new HashMap<>();
  private final Set<Object> told = new HashSet<>();
  private boolean isFirst = true;
  private volatile ModelConfig.Served served;
  private volatile NavigableMap<Long, ServedModel> available = new TreeMap<>();

  VersionedModel(ModelConfig.Served served, RepositoryOptions options, Memory memory) {
    this.served = served;
    this.options = options;
    this.memory = memory;
  }

  /** Takes on another configuration, whose first look loads what it finds at once. */
  void configure(ModelConfig.Served other) {
    isFirst |= !other.equals(served);
    served = other;
  }

  boolean isAvailable() {
    return !available.isEmpty();
  }

  /** By version number, the greatest first. */
  List<ModelStatus> statuses() {
    return new ArrayList<>(new TreeMap<>(statuses).descendingMap().values());
  }

  Lease lease(Version version) {
    while (true) {
      ServedModel model = find(version);
      if (model.acquire()) {
        return new Lease(model);
      }
    }
  }

  private ServedModel find(Version version) {
    NavigableMap<Long, ServedModel> now = available;
    boolean isLatest = version.equals(Version.LATEST);
    ServedModel model =
        !isLatest ? now.get(number(version)) : now.isEmpty() ? null : now.lastEntry().getValue();
    if (model == null) {
      String which = isLatest ? "Latest(" + served.name() + ")" : specific(number(version));
      throw new NotFoundException("Servable not found for request: " + which);
    }
    return model;
  }

  /** The number that is meant, which need not be there. */
  long number(Version version) {
    Long number = version.label() == null ? version.number() : served.labels().get(version.label());
    require(number != null, "Unrecognized servable version label: %s", version.label());
    return number;
  }

  private String specific(long number) {
    return "Specific(" + served.name() + ", " + number + ")";
  }

  /**
   * Looks at the folder: loads versions, then unloads others. One that appears after the first look
   * counts when two looks find the same files, so that none is loaded while it is being written.
   */
  void look() {
    NavigableMap<Long, Path> found;
    try {
      found = new VersionFolder(served.base()).versions();
    } catch (IOException e) {
      String text = "model %s: the folder cannot be read: %s; what is loaded is served";
      tell("folder", text.formatted(served.name(), AtomicFiles.describe(e)));
      return;
    }
    if (found.isEmpty()) {
      String text = "model %s: %s has no version yet; one that comes is loaded";
      tell("empty", text.formatted(served.name(), served.base()));
    } else {
      told.remove("empty");
    }
    told.remove("folder");
    Set<Long> wanted = wanted(found);
    boolean isSettled = wanted.isEmpty() || wanted.stream().anyMatch(available::containsKey);
    for (long number : List.copyOf(available.keySet())) {
      if (!wanted.contains(number) && (isSettled || wanted.isEmpty())) {
        unload(number);
      }
    }
    for (var known : List.of(seen, failed)) {
      known.keySet().retainAll(found.keySet());
    }
    told.removeIf(about -> about instanceof Long number && !found.containsKey(number));
    statuses.values().removeIf(s -> s.state() == State.START && !found.containsKey(s.version()));
    forgetEnded();
    isFirst = false;
  }

  /** The versions that the policy names of those there are; what can be loaded is loaded then. */
  private Set<Long> wanted(NavigableMap<Long, Path> found) {
    Set<Long> wanted = new HashSet<>();
    int count =
        served.policy() instanceof Policy.Latest latest ? latest.count() : Integer.MAX_VALUE;
    int whole = 0;
    for (var version : found.descendingMap().entrySet()) {
      long number = version.getKey();
      boolean isNamed =
          !(served.policy() instanceof Policy.Specific specific)
              || specific.versions().contains(number);
      if (isNamed && whole < count) {
        wanted.add(number);
        whole += load(number, version.getValue()) ? 1 : 0;
      }
    }
    return wanted;
  }

  /** Whether a version is loaded, now or before. */
  private boolean load(long number, Path path) {
    Content content = Content.of(path);
    boolean isLoaded = loaded.containsKey(number);
    boolean isTried = content.equals(isLoaded ? loaded.get(number) : failed.get(number));
    if (isTried || isLoaded && content.equals(failed.get(number))) {
      return isLoaded;
    }
    Content before = seen.put(number, content);
    if (!isFirst && !content.equals(before)) {
      if (!isLoaded) {
        statuses.put(number, ModelStatus.of(number, State.START));
      }
      return isLoaded;
    }
    try {
      memory.take(specific(number), content.bytes());
    } catch (PerformerException e) { // which is tried again, as others may be unloaded
      return failed(number, Code.RESOURCE_EXHAUSTED, e.getMessage());
    }
    try {
      if (!isLoaded) {
        statuses.put(number, ModelStatus.of(number, State.LOADING));
      }
      publish(number, content, path);
      return true;
    } catch (RuntimeException | OutOfMemoryError | StackOverflowError e) {
      memory.give(content.bytes());
      failed.put(number, content);
      boolean isMemory = e instanceof Error;
      String why = isMemory ? "there is not enough memory to load it" : e.getMessage();
      String line = e instanceof PerformerException known ? known.getMessage() : path + ": " + why;
      return failed(number, isMemory ? Code.RESOURCE_EXHAUSTED : Code.UNKNOWN, line);
    }
  }

  private void publish(long number, Content content, Path path) {
    long start = System.nanoTime();
    Predictor predictor = Predictor.load(Model.open(path), options.timeout());
    ServedModel model;
    try {
      model = new ServedModel(served.name(), number, predictor, options);
    } catch (RuntimeException | Error e) {
      predictor.close();
      throw e;
    }
    try {
      model.warmUp();
      require(Content.of(path).equals(content), "%s: changed while it was loaded", path);
    } catch (RuntimeException | Error e) {
      model.retire(() -> {});
      throw e;
    }
    ServedModel old = available.get(number);
    var more = new TreeMap<>(available);
    more.put(number, model);
    available = Collections.unmodifiableNavigableMap(more);
    if (old != null) {
      long bytes = loaded.get(number).bytes();
      old.retire(() -> memory.give(bytes));
    }
    loaded.put(number, content);
    failed.remove(number);
    told.remove(number);
    statuses.put(number, ModelStatus.of(number, State.AVAILABLE));
    String text = "model %s, version %d: loaded from %s in %.1f s";
    double seconds = (System.nanoTime() - start) / 1e9;
    options.log().accept(text.formatted(served.name(), number, path, seconds));
  }

  private boolean failed(long number, Code code, String why) {
    boolean isLoaded = loaded.containsKey(number);
    if (!isLoaded) {
      statuses.put(number, new ModelStatus(number, State.END, code, why));
    }
    String rest = available.isEmpty() ? "" : "; what is loaded is served";
    tell(number, "model %s, version %d: %s%s".formatted(served.name(), number, why, rest));
    return isLoaded;
  }

  /** Once, until it is mended. */
  private void tell(Object about, String line) {
    if (told.add(about)) {
      options.log().accept(line);
    }
  }

  private void unload(long number) {
    var rest = new TreeMap<>(available);
    ServedModel model = rest.remove(number);
    available = Collections.unmodifiableNavigableMap(rest);
    long bytes = loaded.remove(number).bytes();
    seen.remove(number);
    failed.remove(number);
    ModelStatus unloading = ModelStatus.of(number, State.UNLOADING);
    statuses.put(number, unloading);
    model.retire(
        () -> {
          memory.give(bytes);
          statuses.replace(number, unloading, ModelStatus.of(number, State.END));
          String text = "model %s, version %d: unloaded";
          options.log().accept(text.formatted(served.name(), number));
        });
  }

  private void forgetEnded() {
    var ended = statuses.values().stream().filter(s -> s.state() == State.END).toList();
    ended.stream()
        .limit(Math.max(0, ended.size() - MOST_ENDED))
        .forEach(old -> statuses.remove(old.version(), old));
  }

  /** Unloads all of it. */
  void close() {
    List.copyOf(available.keySet()).forEach(this::unload);
  }

  /** What the files of loaded models take together. */
  static final class Memory {
    private final long most;
    private long taken;

    Memory(long most) {
      this.most = most;
    }

    synchronized void take(String what, long bytes) {
      if (bytes > most - taken) {
        String text = "%s needs %d MB, but %d of %d MB are taken; unload a model or allow more";
        long mb = 1 << 20;
        throw new PerformerException(text.formatted(what, bytes / mb + 1, taken / mb, most / mb));
      }
      taken += bytes;
    }

    synchronized void give(long bytes) {
      taken -= bytes;
    }
  }
}
