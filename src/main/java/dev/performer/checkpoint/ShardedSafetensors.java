package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.StrictJson;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/** Several {@code .safetensors} and the {@code …index.json} that tells what is in which. */
public final class ShardedSafetensors implements WeightFile {
  /** How the names of such indices end. */
  public static final String INDEX_SUFFIX = ".safetensors.index.json";

  private final Path path;
  private final Map<String, SafetensorsFile> files = new HashMap<>();
  private final SortedMap<String, Info> infos = new TreeMap<>();
  private final Map<String, SafetensorsFile> owners = new HashMap<>();

  private ShardedSafetensors(Path path) {
    this.path = path;
  }

  /**
   * Opens all files of an index, which stand beside it.
   *
   * @throws PerformerException if the index is broken, a file is missing or lacks a tensor
   */
  public static ShardedSafetensors open(Path index) {
    JsonNode map = StrictJson.readTree(index).path("weight_map");
    if (!map.isObject() || map.isEmpty()) {
      throw new PerformerException(
          index + ": expected a key weight_map that gives each tensor's file");
    }
    ShardedSafetensors opened = new ShardedSafetensors(index);
    try {
      map.properties().forEach(e -> opened.add(e.getKey(), e.getValue()));
      return opened;
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
  }

  private void add(String tensor, JsonNode value) {
    String name = value.asText();
    if (!value.isTextual() || !name.matches("[\\w.-]+") || name.startsWith(".")) {
      throw new PerformerException(
          "%s, tensor %s: expected the name of a file beside the index"
              .formatted(path, Excerpt.of(tensor)));
    }
    SafetensorsFile file =
        files.computeIfAbsent(name, n -> SafetensorsFile.open(path.resolveSibling(n)));
    Info info = file.tensors().get(tensor);
    if (info == null) {
      throw new PerformerException(
          "%s has no tensor %s, which %s places there"
              .formatted(file.path(), Excerpt.of(tensor), path));
    }
    owners.put(tensor, file);
    infos.put(tensor, info);
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public String format() {
    return "safetensors in " + files.size() + (files.size() == 1 ? " file" : " files");
  }

  @Override
  public SortedMap<String, Info> tensors() {
    return Collections.unmodifiableSortedMap(infos);
  }

  @Override
  public NpyArray read(String name) {
    SafetensorsFile owner = owners.get(name);
    if (owner == null) {
      throw new PerformerException(path + ", tensor " + name + ": there is none of that name");
    }
    return owner.read(name);
  }

  @Override
  public void close() {
    files.values().forEach(SafetensorsFile::close);
  }
}
