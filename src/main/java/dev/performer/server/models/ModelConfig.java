package dev.performer.server.models;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.pipeline.Model;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which models are served, from where. Immutable.
 *
 * @param file which says so, and is read again when it changes; null for none
 */
public record ModelConfig(List<Served> models, Path file) {
  /** The version of a model that lies in a folder without a number. */
  public static final long ONLY = 1;

  private static final Set<String> PLAIN = Set.of("model", "saved_model");

  public ModelConfig {
    models = List.copyOf(models);
    Set<String> names = new HashSet<>();
    for (Served served : models) {
      String text = "two models have the name %s; give one of them another, as in NAME=PATH";
      require(names.add(served.name), text, served.name);
    }
  }

  /** Models that no file names. */
  public ModelConfig(List<Served> models) {
    this(models, null);
  }

  /**
   * Reads a model config file of TensorFlow Serving, in protobuf's text form or JSON; its relative
   * paths are in the working directory, or else beside it. Fields {@code model_type} and {@code
   * logging_config} do nothing.
   */
  public static ModelConfig read(Path file) {
    return new ModelConfig(ModelConfigFile.read(file), file);
  }

  /**
   * A model.
   *
   * @param base a folder with a folder for each version, named by its number; or a SavedModel, or
   *     the directory of a run, which is version {@value ModelConfig#ONLY}
   * @param labels names of version numbers
   */
  public record Served(String name, Path base, Policy policy, Map<String, Long> labels) {
    public Served {
      require(isName(name), "'%s' is no name of a model: expected letters, digits, ._-", name);
      base = base.toAbsolutePath().normalize();
      labels = Map.copyOf(labels);
    }
  }

  /** Which versions of those in a folder are served. */
  public sealed interface Policy {
    /** All of them. */
    record All() implements Policy {}

    /** Those with the greatest numbers that can be loaded. */
    record Latest(int count) implements Policy {
      public Latest {
        require(count > 0, "of the latest versions at least 1 is served, not %d", count);
      }
    }

    /** Those of some numbers. */
    record Specific(Set<Long> versions) implements Policy {
      public Specific {
        versions = Set.copyOf(versions);
      }
    }
  }

  /** A message with the names of models in place of where they lie. */
  public String withoutPaths(String message) {
    String shown = message;
    for (Served served : models) {
      shown = shown.replace(served.base.toString(), served.name);
    }
    return shown;
  }

  static boolean isName(String name) {
    return name.matches("[\\p{L}\\p{N}][\\p{L}\\p{N}._-]*");
  }

  /**
   * Models by path, of which the latest version is served; {@code NAME=PATH} gives one a name, else
   * it has that of its directory, or of the one above where that is a number, {@code model} or
   * {@code saved_model}.
   *
   * @throws PerformerException if there is nothing at a path, or two models have one name
   */
  public static ModelConfig of(List<String> arguments) {
    List<Served> models = new ArrayList<>();
    for (String argument : arguments) {
      int sign = argument.indexOf('=');
      boolean isNamed = sign > 0 && isName(argument.substring(0, sign));
      isNamed = isNamed && !Files.exists(Path.of(argument));
      Path path = Path.of(isNamed ? argument.substring(sign + 1) : argument);
      require(Files.exists(path), "%s does not exist", path);
      if (!VersionFolder.isBase(path) || Model.isCheckpoint(path)) {
        Model.open(path); // says what is wrong with it
      }
      var folder = new VersionFolder(path);
      String hidden =
          "%s: no folder in it has a version's number for its name; name the model in it, %s";
      folder.unnumbered().ifPresent(model -> require(false, hidden, path, model));
      String name = isNamed ? argument.substring(0, sign) : name(path);
      models.add(new Served(name, path, new Policy.Latest(1), Map.of()));
    }
    return new ModelConfig(models);
  }

  private static String name(Path path) {
    Path named = path.toAbsolutePath().normalize();
    String name = "" + named.getFileName();
    while (named.getParent() != null && (PLAIN.contains(name) || VersionFolder.isNumber(name))) {
      named = named.getParent();
      name = "" + named.getFileName();
    }
    String text = "%s: its name '%s' is no name of a model; give one, as in NAME=%1$s";
    require(isName(name), text, path, name);
    return name;
  }
}
