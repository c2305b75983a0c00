package dev.performer.server.models;

import dev.performer.NotFoundException;
import dev.performer.PerformerException;
import dev.performer.server.models.VersionedModel.Memory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

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
  private ModelConfig config = new ModelConfig(List.of());
  private boolean isClosed;

  private ModelRepository(ModelConfig config, RepositoryOptions options) {
    this.options = options;
    memory = new Memory(options.mostBytes());
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
   */
  public Lease lease(String name, Version version) {
    return model(name).lease(version);
  }

  /**
   * The versions of a model, the greatest first.
   *
   * @throws NotFoundException if there is no such model
   */
  public List<ModelStatus> status(String name) {
    return model(name).statuses();
  }

  /** Names of models, in order, loaded or not. */
  public List<String> names() {
    return List.copyOf(models.keySet());
  }

  private VersionedModel model(String name) {
    VersionedModel model = models.get(name);
    if (model == null) {
      throw new NotFoundException("Servable not found for request: Latest(" + name + ")");
    }
    return model;
  }

  /** What nobody expected ends no watch. */
  private void watch() {
    try {
      look();
    } catch (RuntimeException e) {
      options.log().accept("models: folders could not be looked at: " + e.getMessage());
    }
  }

  /** Looks at all folders now: loads what is new and whole, unloads what is gone. */
  public synchronized void look() {
    if (!isClosed) {
      models.values().forEach(VersionedModel::look);
    }
  }

  /**
   * Takes on another configuration: models that it lacks are unloaded, new ones loaded.
   *
   * @throws PerformerException if then a model has no version that can be leased
   */
  public synchronized void reload(ModelConfig other) {
    if (isClosed) {
      throw new PerformerException("the server is shutting down");
    }
    configure(other);
    look();
    List<String> lines = new ArrayList<>();
    models.forEach(
        (name, model) -> {
          if (!model.isAvailable()) {
            var statuses = model.statuses();
            lines.add(name + ": " + (statuses.isEmpty() ? "no version" : statuses.get(0).error()));
          }
        });
    if (!lines.isEmpty()) {
      throw new PerformerException("models that are not available", lines);
    }
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
  public synchronized ModelConfig config() {
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
