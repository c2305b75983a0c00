package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import dev.performer.model.TextEmbedding;
import dev.performer.model.TextEmbedding.Pooling;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * How the {@code modules.json} of a sentence-transformers model makes vectors of texts, with the
 * files that it names.
 *
 * @param embedding null where a module does what no model here does
 * @param lowerCase whether texts are read in lower case, whatever the tokenizer does
 * @param notes what is not followed, one line each
 */
public record SentenceTransformers(TextEmbedding embedding, boolean lowerCase, List<String> notes) {
  private static final String FILE = "modules.json";
  private static final Map<String, Pooling> MODES =
      Map.of(
          "cls", Pooling.CLS,
          "max", Pooling.MAX,
          "mean", Pooling.MEAN,
          "mean_sqrt_len_tokens", Pooling.MEAN_SQRT,
          "weightedmean", Pooling.WEIGHTED_MEAN,
          "lasttoken", Pooling.LAST);
  private static final Map<String, String> FLAGS = flags();

  /** Of the directory of a checkpoint, of its file, or of its parent where it is a module there. */
  public static Optional<SentenceTransformers> beside(Path checkpoint) {
    Path whole = checkpoint.toAbsolutePath().normalize();
    Path folder = Files.isDirectory(whole) ? whole : whole.getParent();
    if (Files.isRegularFile(folder.resolve(FILE))) {
      return Optional.of(read(folder));
    }
    Path parent = folder.getParent();
    boolean isModule =
        parent != null
            && Files.isRegularFile(parent.resolve(FILE))
            && modules(parent).stream().anyMatch(m -> path(m).equals("" + folder.getFileName()));
    return isModule ? Optional.of(read(parent)) : Optional.empty();
  }

  private static SentenceTransformers read(Path folder) {
    List<String> notes = new ArrayList<>();
    Pooling pooling = null;
    boolean normalizes = false;
    Integer longest = null;
    boolean lowerCase = false;
    boolean isKnown = true;
    for (JsonNode module : modules(folder)) {
      String type = module.path("type").asText();
      String kind = type.substring(type.lastIndexOf('.') + 1);
      Path own = folder.resolve(path(module));
      switch (kind) {
        case "Transformer" -> {
          JsonNode config = config(own, "sentence_bert_config.json");
          int most = config.path("max_seq_length").asInt();
          longest = most > 0 ? Integer.valueOf(most) : null;
          lowerCase = config.path("do_lower_case").asBoolean();
        }
        case "Pooling" -> pooling = pooling(own, notes);
        case "Normalize" -> normalizes = true;
        case "Dropout" -> {} // in training alone
        default -> {
          isKnown = false;
          String text =
              "%s: the module %s is not followed: vectors of texts are the mean over their tokens, without it";
          notes.add(text.formatted(folder.resolve(FILE), kind));
        }
      }
    }
    boolean hasVectors = isKnown && pooling != null;
    var embedding = hasVectors ? new TextEmbedding(pooling, normalizes, longest) : null;
    return new SentenceTransformers(embedding, lowerCase, List.copyOf(notes));
  }

  private static List<JsonNode> modules(Path folder) {
    Path file = folder.resolve(FILE);
    JsonNode tree = StrictJson.readTree(file);
    List<JsonNode> modules = new ArrayList<>();
    tree.forEach(modules::add);
    boolean isSound = tree.isArray() && modules.stream().allMatch(m -> m.path("type").isTextual());
    PerformerException.require(isSound, "%s: expected a list of modules with types", file);
    return modules;
  }

  private static String path(JsonNode module) {
    return module.path("path").asText();
  }

  /** Null where several stand side by side. */
  private static Pooling pooling(Path module, List<String> notes) {
    JsonNode config = config(module, "config.json");
    List<String> modes = new ArrayList<>();
    JsonNode named = config.path("pooling_mode");
    if (named.isTextual()) {
      modes.add(named.asText());
    }
    named.forEach(mode -> modes.add(mode.asText()));
    if (modes.isEmpty()) { // older files
      FLAGS.keySet().stream()
          .filter(flag -> config.path(flag).asBoolean())
          .forEach(flag -> modes.add(FLAGS.get(flag)));
    }
    Pooling found = modes.size() == 1 ? MODES.get(modes.get(0)) : null;
    if (found == null) {
      String text =
          "%s: pooling by %s is not followed: vectors of texts are the mean over their tokens";
      notes.add(text.formatted(module.resolve("config.json"), modes));
    }
    return found;
  }

  private static JsonNode config(Path module, String file) {
    Path path = module.resolve(file);
    return Files.isRegularFile(path) ? StrictJson.readTree(path) : MissingNode.getInstance();
  }

  private static Map<String, String> flags() {
    Map<String, String> flags = new LinkedHashMap<>();
    flags.put("pooling_mode_cls_token", "cls");
    flags.put("pooling_mode_max_tokens", "max");
    flags.put("pooling_mode_mean_tokens", "mean");
    flags.put("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens");
    flags.put("pooling_mode_weightedmean_tokens", "weightedmean");
    flags.put("pooling_mode_lasttoken", "lasttoken");
    return flags;
  }
}
