package dev.performer.server;

import dev.performer.NotFoundException;
import dev.performer.pipeline.EngineStatistics;
import dev.performer.pipeline.TextEngine;
import dev.performer.server.models.Lease;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.ModelStatus;
import dev.performer.server.models.ServedModel;
import dev.performer.server.models.Version;
import dev.performer.serving.BatchingPredictor;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** Figures of the models that are loaded, which come and go. */
final class ModelMeters {
  /** What has figures: a loaded version, or what continues texts on it, since it was made. */
  private record Source(Object owner, List<Meter> meters) {}

  private final ModelRepository models;
  private final MeterRegistry registry;
  private final Map<String, Source> sources = new HashMap<>();

  ModelMeters(ModelRepository models, MeterRegistry registry) {
    this.models = models;
    this.registry = registry;
  }

  /** Registers what is new, and takes away what is gone. */
  synchronized void refresh() {
    Map<String, Object> now = new HashMap<>();
    for (String name : models.names()) {
      try {
        for (ModelStatus one : models.status(name)) {
          if (one.state() == ModelStatus.State.AVAILABLE) {
            add(now, name, one.version());
          }
        }
      } catch (NotFoundException e) {
        // It has gone meanwhile.
      }
    }
    sources.entrySet().removeIf(entry -> isGone(entry.getValue(), now.get(entry.getKey())));
    now.forEach((key, owner) -> sources.computeIfAbsent(key, k -> register(k, owner)));
  }

  private void add(Map<String, Object> now, String name, long version) {
    try (Lease lease = models.lease(name, Version.of(version))) {
      ServedModel model = lease.model();
      now.put("predict " + name + " " + version, model.batches());
      model.madeTexts().ifPresent(texts -> now.put("text " + name + " " + version, texts));
    }
  }

  private boolean isGone(Source source, Object owner) {
    if (source.owner == owner) {
      return false;
    }
    source.meters.forEach(registry::remove);
    return true;
  }

  private Source register(String key, Object owner) {
    String[] parts = key.split(" ");
    Tags tags = Tags.of("model", parts[1], "version", parts[2]);
    List<Meter> meters = new ArrayList<>();
    if (owner instanceof BatchingPredictor batches) {
      counter(meters, "predict.calls", tags, batches, b -> b.statistics().calls());
      counter(meters, "predict.runs", tags, batches, b -> b.statistics().runs());
      gauge(meters, "predict.queue", tags, batches, b -> b.statistics().waiting());
    } else if (owner instanceof TextEngine texts) {
      count(meters, "text.tokens", tags, texts, EngineStatistics::tokens);
      count(meters, "text.prompt.tokens", tags, texts, EngineStatistics::promptTokens);
      count(meters, "text.cached.tokens", tags, texts, EngineStatistics::cachedTokens);
      count(meters, "text.steps", tags, texts, EngineStatistics::steps);
      measure(meters, "text.running", tags, texts, EngineStatistics::running);
      measure(meters, "text.queue", tags, texts, EngineStatistics::waiting);
      measure(meters, "text.sessions", tags, texts, EngineStatistics::sessions);
      measure(meters, "text.session.bytes", tags, texts, EngineStatistics::sessionBytes);
      measure(meters, "text.cache.bytes", tags, texts, EngineStatistics::cacheBytes);
    }
    return new Source(owner, meters);
  }

  private void count(
      List<Meter> meters,
      String name,
      Tags tags,
      TextEngine texts,
      ToDoubleFunction<EngineStatistics> value) {
    counter(meters, name, tags, texts, engine -> value.applyAsDouble(engine.statistics()));
  }

  private void measure(
      List<Meter> meters,
      String name,
      Tags tags,
      TextEngine texts,
      ToDoubleFunction<EngineStatistics> value) {
    gauge(meters, name, tags, texts, engine -> value.applyAsDouble(engine.statistics()));
  }

  private <T> void counter(
      List<Meter> meters, String name, Tags tags, T owner, ToDoubleFunction<T> value) {
    String full = "performer." + name;
    meters.add(FunctionCounter.builder(full, owner, value).tags(tags).register(registry));
  }

  private <T> void gauge(
      List<Meter> meters, String name, Tags tags, T owner, ToDoubleFunction<T> value) {
    meters.add(Gauge.builder("performer." + name, owner, value).tags(tags).register(registry));
  }
}
