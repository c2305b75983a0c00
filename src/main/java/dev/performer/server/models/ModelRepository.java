package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.server.models.VersionFolder.Content;
import dev.performer.server.models.VersionedModel.Memory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/**
 * Named models in versions, loaded in the background and exchanged while requests go on: a new
 * version is loaded before an old one goes, a broken one changes nothing, and the memory of an old
 * one is freed when the last {@link Lease} on it ends. Nothing is written to disk.
 *
 * <p>Safe for use by several threads.
 */
public final class ModelRepository implements AutoCloseable {
  private final RepositoryOptions options;
  private final Memory memory;
  private final ScheduledExecutorService loader;
  private final CompletableFuture<Void> firstLook;
  private volatile Map<String, VersionedModel> models = Map.of();
  private volatile ModelConfig config = new ModelConfig(List.of());
  private Set<Path> folders;
  private Content read; // of the configuration's file
  private boolean isClosed;

  private ModelRepository(ModelConfig config, RepositoryOptions options) {
    this.options = options;
    memory = new Memory(options.mostBytes());
    folders = folders(config);
    configure(config);
    loader =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "models");
              thread.setDaemon(true);
              return thread;
            });
    firstLook = CompletableFuture.runAsync(this::look, loader);
    long poll = options.poll().toMillis();
    if (poll > 0) {
      loader.scheduleWithFixedDelay(this::watch, poll, poll, TimeUnit.MILLISECONDS);
    }
  }

  /** Begins to load models, and returns. */
  public static ModelRepository open(ModelConfig config, RepositoryOptions options) {
    return new ModelRepository(config, options);
  }

  /** How models are loaded. */
  public RepositoryOptions options() {
    return options;
  }

  /** Waits until all models have been loaded, or could not be. */
  public void awaitLoaded() {
    firstLook.join();
  }

  /** Whether each model has a version that can be leased. */
  public boolean isReady() {
    return firstLook.isDone() && models.values().stream().allMatch(VersionedModel::isAvailable);
  }

  /**
   * Takes a model for one request; close the lease when it is done.
   *
   * @throws NotFoundException if there is no such model, or the version is not loaded
   * @throws PerformerException if the model has no such label
   */
  public Lease lease(String name, Version version) {
    VersionedModel model = models.get(name);
    if (model == null) {
      Long number = version.number();
      String which = number == null ? "Latest(%s)" : "Specific(%s, " + number + ")";
      throw new NotFoundException("Servable not found for request: " + which.formatted(name));
    }
    return model.lease(version);
  }

  /**
   * The versions of a model, the greatest first.
   *
   * @throws NotFoundException if there is no such model, or nothing in its folder
   */
  public List<ModelStatus> status(String name) {
    return status(name, Version.LATEST);
  }

  /**
   * The same of one version; of all where that is the latest.
   *
   * @throws NotFoundException if there is no such model or version
   */
  public List<ModelStatus> status(String name, Version version) {
    VersionedModel model = models.get(name);
    List<ModelStatus> all = model == null ? List.of() : model.statuses();
    if (all.isEmpty()) {
      throw new NotFoundException("Could not find any versions of model " + name);
    } else if (version.equals(Version.LATEST)) {
      return all;
    }
    long number = model.number(version);
    List<ModelStatus> one = all.stream().filter(status -> status.version() == number).toList();
    if (one.isEmpty()) {
      throw new NotFoundException("Could not find version %d of model %s".formatted(number, name));
    }
    return one;
  }

  /** Names of models, in order, loaded or not. */
  public List<String> names() {
    return List.copyOf(models.keySet());
  }

  /** What nobody expected ends no watch. */
  private void watch() {
    try {
      look();
    } catch (RuntimeException e) {
      options.log().accept("models: folders could not be looked at: " + e.getMessage());
    }
  }

  /** Takes on what the configuration's file says, if it changed since the last look. */
  private void readFile() {
    Path file = config.file();
    Content content = file == null ? null : Content.of(file);
    if (file == null || content.equals(read)) {
      return;
    }
    boolean isFirst = read == null;
    read = content;
    if (isFirst) {
      return;
    }
    try {
      ModelConfig other = ModelConfig.read(file);
      folders = folders(other);
      configure(other);
      options.log().accept(file + ": read again");
    } catch (PerformerException e) {
      options.log().accept(e.getMessage() + "; what is loaded is served");
    }
  }

  /** Looks at all folders now: loads what is new and whole, unloads what is gone. */
  public synchronized void look() {
    if (!isClosed) {
      readFile();
      models.values().forEach(VersionedModel::look);
    }
  }

  /**
   * Takes on another configuration: models that it lacks are unloaded, new ones loaded.
   *
   * @throws PerformerException if then a model has no version that can be leased
   */
  public synchronized void reload(ModelConfig other) {
    folders = folders(other);
    read = null;
    take(other);
  }

  private void take(ModelConfig other) {
    if (isClosed) {
      throw new PerformerException("the server is shutting down");
    }
    configure(other);
    look();
    List<String> lines = new ArrayList<>(failures());
    models.forEach(
        (name, model) -> {
          if (model.statuses().isEmpty()) {
            lines.add(name + ": it has no version");
          }
        });
    if (!lines.isEmpty()) {
      throw new PerformerException("models that are not available", lines);
    }
  }

  /** Models none of whose versions could be loaded, a line each. */
  public List<String> failures() {
    List<String> lines = new ArrayList<>();
    models.forEach(
        (name, model) -> {
          if (!model.isAvailable()) {
            var errors = model.statuses().stream().map(ModelStatus::error);
            errors.filter(e -> !e.isEmpty()).findFirst().ifPresent(e -> lines.add(name + ": " + e));
          }
        });
    return lines;
  }

  /**
   * The same for a configuration that a client sends: with other names, versions and labels, but no
   * paths that are not served now.
   *
   * @throws PerformerException also if there is such a path
   */
  public synchronized void reloadWithin(ModelConfig other) {
    for (ModelConfig.Served served : other.models()) {
      String text = "model %s: %s is no folder that this server was started with";
      require(folders.contains(served.base()), text, served.name(), served.base());
    }
    take(other);
  }

  private static Set<Path> folders(ModelConfig config) {
    return config.models().stream().map(ModelConfig.Served::base).collect(Collectors.toSet());
  }

  private void configure(ModelConfig other) {
    Map<String, VersionedModel> now = new TreeMap<>();
    for (ModelConfig.Served served : other.models()) {
      VersionedModel model = models.get(served.name());
      if (model == null) {
        model = new VersionedModel(served, options, memory);
      }
      model.configure(served);
      now.put(served.name(), model);
    }
    Map<String, VersionedModel> before = models;
    models = Collections.unmodifiableMap(now);
    config = other;
    before.forEach(
        (name, model) -> {
          if (!now.containsKey(name)) {
            model.close();
          }
        });
  }

  /** What is served now. */
  public ModelConfig config() {
    return config;
  }

  /** Lets no more requests in; models are freed when the last leases on them end. */
  @Override
  public void close() {
    loader.shutdown();
    synchronized (this) {
      isClosed = true;
      Map<String, VersionedModel> before = models;
      models = Map.of();
      before.values().forEach(VersionedModel::close);
    }
  }
}
