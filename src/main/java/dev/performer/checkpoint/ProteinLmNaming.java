package dev.performer.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import dev.performer.PerformerException;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Google's protein_lm ({@code FlaxLM} and {@code FlaxBERT}). Children are numbered in the order of
 * their making; very old Flax gave them the number alone, without the class.
 *
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/protein_lm/modules.py">modules.py</a>
 */
final class ProteinLmNaming implements NamingScheme {
  private static final String EMBEDDING = "embed/embedding";
  private static final String QUERY = "/1/query/kernel";

  @Override
  public String label() {
    return "protein_lm";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return FlaxParameters.find(file, EMBEDDING)
        .map(p -> !blocks(canonical(p)).isEmpty())
        .orElse(false);
  }

  /** Parameters by names in which every child is its number: {@code 1/3/0/kernel}. */
  private static Map<String, String> canonical(FlaxParameters parameters) {
    Map<String, String> names = new TreeMap<>();
    String prefix = parameters.prefix();
    for (String name : parameters.file().tensors().keySet()) {
      if (name.startsWith(prefix) && !(prefix.isEmpty() && name.startsWith("state/"))) {
        String own = name.substring(prefix.length());
        names.put(own.replaceAll("(^|/)[A-Za-z][A-Za-z0-9]*_([0-9]+)(?=/)", "$1$2"), own);
      }
    }
    return names;
  }

  private static SortedSet<Integer> blocks(Map<String, String> canonical) {
    SortedSet<Integer> blocks = new TreeSet<>();
    for (String name : canonical.keySet()) {
      if (name.matches("[0-9]{1,5}" + QUERY)) {
        blocks.add(Integer.valueOf(name.substring(0, name.indexOf('/'))));
      }
    }
    return blocks;
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    checkPreset(file, options);
    FlaxParameters parameters =
        FlaxParameters.find(file, EMBEDDING)
            .orElseThrow(() -> new PerformerException(file.path() + " has no " + EMBEDDING));
    WeightMap map = new WeightMap(file);
    List<String> notes = new ArrayList<>();
    Map<String, String> names = names(parameters, map, options, notes);
    names.forEach(
        (ours, own) -> {
          boolean table = ours.equals("embeddings/position");
          map.put(
              ours,
              parameters.prefix() + own,
              table ? WeightMap.Layout.LEADING_ONES : WeightMap.Layout.SAME);
        });
    parameters.ignoreState(map);
    ConfigBuilder builder = new ConfigBuilder(file, "protein-lm").putSizes(map).putHeads(map);
    Optional<Vocabulary> vocabulary = describe(file, map, builder, options, notes);
    notes.forEach(map::note);
    boolean isGin = gin(file, options).isPresent();
    PerformerConfig config = builder.config(isGin ? options.withoutConfig() : options);
    ModelWeights weights = map.finish(label(), config, options.allowMissing());
    List<String> all = new ArrayList<>(weights.notes());
    WeightMap late = new WeightMap(file);
    Optional<OptimizerState> optimizer = parameters.optimizer(names, weights.weights(), late);
    all.addAll(late.notes());
    return new ModelWeights(
        weights.scheme(),
        weights.config(),
        weights.weights(),
        optimizer,
        vocabulary,
        masking(file, options, weights.config()),
        all);
  }

  private static Optional<Masking> masking(
      WeightFile file, ImportOptions options, PerformerConfig config) {
    return config.task() != Task.MASKED_LM
        ? Optional.empty()
        : gin(file, options)
            .flatMap(gin -> new ProteinLmGin(gin, Task.MASKED_LM).masking())
            .or(() -> Optional.of(Masking.PROTEIN_LM));
  }

  private void checkPreset(WeightFile file, ImportOptions options) {
    if (options.preset() != null && !options.preset().equals("protein-lm")) {
      throw new PerformerException(
              file.path()
                  + ": preset "
                  + options.preset()
                  + " does not fit: its names are those of protein_lm; use the preset protein-lm or none")
          .settledBy("preset");
    }
  }

  private static Map<String, String> names(
      FlaxParameters parameters, WeightMap map, ImportOptions options, List<String> notes) {
    Map<String, String> canonical = canonical(parameters);
    SortedSet<Integer> blocks = blocks(canonical);
    int first = blocks.first();
    int n = blocks.last() - first + 1;
    Map<String, String> wanted = new LinkedHashMap<>();
    wanted.put("embeddings/token", EMBEDDING);
    if (canonical.containsKey("0/pos_embedding")) {
      wanted.put("embeddings/position", "0/pos_embedding");
    }
    for (int i = 0; i < n; i++) {
      block(wanted, "layer_" + i, Integer.toString(first + i));
    }
    pair(wanted, "final_norm", (first + n) + "", "scale");
    pair(wanted, "head/logits", (first + n + 1) + "", "kernel");
    Map<String, String> names = new LinkedHashMap<>();
    wanted.forEach(
        (ours, number) -> {
          String own = canonical.get(number);
          if (own != null) {
            names.put(ours, own);
          }
        });
    String regression = (first + n + 2) + "/";
    canonical.forEach(
        (number, own) -> {
          if (number.startsWith(regression)) {
            if (!options.allowMissing()) {
              throw new PerformerException(
                      parameters.file().path()
                          + " has a regression head, "
                          + own
                          + ", one number for each token; no model here has one, and missing weights were"
                          + " not allowed, which leaves it out")
                  .settledBy("allowMissing");
            }
            map.ignore(parameters.prefix() + own);
            notes.add("the regression head " + own + " was left out: it is not part of this model");
          }
        });
    return names;
  }

  private static void block(Map<String, String> wanted, String ours, String number) {
    pair(wanted, ours + "/attention_norm", number + "/0", "scale");
    for (String part : List.of("query", "key", "value")) {
      wanted.put(ours + "/attention/" + part + "/kernel", number + "/1/" + part + "/kernel");
    }
    wanted.put(ours + "/attention/output/kernel", number + "/1/out/kernel");
    pair(wanted, ours + "/mlp_norm", number + "/2", "scale");
    pair(wanted, ours + "/mlp/in", number + "/3/0", "kernel");
    pair(wanted, ours + "/mlp/out", number + "/3/1", "kernel");
  }

  private static void pair(Map<String, String> wanted, String ours, String theirs, String first) {
    wanted.put(ours + "/" + first, theirs + "/" + first);
    wanted.put(ours + "/bias", theirs + "/bias");
  }

  private static Optional<GinConfig> gin(WeightFile file, ImportOptions options) {
    if (options.config() != null) {
      boolean isGin = options.config().toString().endsWith(".gin");
      return isGin ? Optional.of(GinConfig.read(options.config())) : Optional.empty();
    }
    Path beside =
        file instanceof FlaxCheckpoint flax
            ? flax.directory().resolve("config.gin")
            : file.path().resolveSibling("config.gin");
    return Files.isRegularFile(beside) ? Optional.of(GinConfig.read(beside)) : Optional.empty();
  }

  /** What shapes do not tell, from the configuration and from what is given. */
  private static Optional<Vocabulary> describe(
      WeightFile file,
      WeightMap map,
      ConfigBuilder builder,
      ImportOptions options,
      List<String> notes) {
    Optional<GinConfig> gin = gin(file, options);
    JsonNode own =
        gin.isEmpty() && options.config() != null ? StrictJson.readTree(options.config()) : null;
    Task given = options.task() == null ? null : task(options.task());
    if (gin.isEmpty()) {
      requireGiven(file, options, own, given);
    }
    ProteinLmGin model = gin.map(g -> new ProteinLmGin(g, given)).orElse(null);
    Task task = model != null ? model.task() : given;
    boolean causal = task == Task.CAUSAL_LM;
    if (task != null) {
      builder.put("task", causal ? "causal-lm" : "masked-lm");
    }
    positions(map, builder, model, options, notes);
    if (model != null) {
      check(map, model);
    }
    Optional<Vocabulary> vocabulary = vocabulary(file, map, model);
    builder.put("padId", id(vocabulary.map(Vocabulary::pad)));
    builder.put("shiftBos", causal ? id(vocabulary.map(Vocabulary::bos)) : null);
    AttentionConfig attention = null;
    if (model != null) {
      Object function = model.value("attention_fn").orElse(GinConfig.NONE);
      int headSize = map.size("layer_0/attention/query/kernel", 3, 2);
      attention = new GinAttention(gin.get(), headSize, notes).attention(function, model.causal());
      List<?> others = model.otherOutputs();
      if (!others.isEmpty()) {
        notes.add("output_head: besides logits, " + others + " are no output of this model");
      }
      model.training().ifPresent(notes::add);
      gin.get().skipped().forEach(line -> notes.add("config.gin: '" + line + "' was not followed"));
      dropout(builder, model);
    }
    if (attention != null || JaxAttention.isGiven(options)) {
      AttentionConfig entry = JaxAttention.over(attention, options, causal, notes);
      if (causal && !entry.isCausal()) {
        notes.add("warning: attention of this language model is not causal: it sees the future");
      }
      builder.putAttention(entry);
    }
    return vocabulary;
  }

  private static void requireGiven(
      WeightFile file, ImportOptions options, JsonNode own, Task given) {
    List<String> missing = new ArrayList<>();
    if (given == null && (own == null || !own.has("task"))) {
      missing.add("the task, causal-lm (FlaxLM) or masked-lm (FlaxBERT)");
    }
    boolean lacksAttention =
        !JaxAttention.isGiven(options) && (own == null || !own.has("attention"));
    if (lacksAttention) {
      missing.add("that attention is exact, or its kernel and features");
    }
    if (!missing.isEmpty()) {
      String message =
          file.path()
              + ": there is no config.gin beside it, and weights do not tell what it would; give "
              + String.join(", and ", missing)
              + ", or name the file with its config";
      throw lacksAttention
          ? new UnknownAttentionException(
              message, "task", "attention", "kernel", "features", "config")
          : new PerformerException(message).settledBy("task", "config");
    }
  }

  private static Task task(String label) {
    return switch (label) {
      case "causal-lm" -> Task.CAUSAL_LM;
      case "masked-lm" -> Task.MASKED_LM;
      default ->
          throw new PerformerException(
              "task " + label + " is none of protein_lm's; say causal-lm or masked-lm");
    };
  }

  private static void positions(
      WeightMap map,
      ConfigBuilder builder,
      ProteinLmGin model,
      ImportOptions options,
      List<String> notes) {
    if (model != null) {
      model.checkPositions(map.has("embeddings/position"));
    }
    if (map.has("embeddings/position")) {
      builder.put("positions", "learned-from-sinusoids");
      return;
    }
    Optional<Long> length = model == null ? Optional.empty() : model.length();
    long longest = options.maxLength() != null ? options.maxLength() : length.orElse(1024L);
    builder.put("positions", "sinusoidal").put("maxLength", longest);
    notes.add("there is no table of positions: sinusoids are added, for lengths up to " + longest);
  }

  private static void check(WeightMap map, ProteinLmGin model) {
    String query = "layer_0/attention/query/kernel";
    long heads = map.size(query, 3, 1);
    String queryName = "the kernel of queries";
    model.check("emb_dim", map.size("embeddings/token", 2, 1), EMBEDDING);
    model.check("num_heads", heads, queryName);
    model.check("qkv_dim", heads * map.size(query, 3, 2), queryName);
    model.check("num_layers", map.layers(), "the number of Transformer1DBlock");
    model.check("mlp_dim", map.size("layer_0/mlp/in/kernel", 2, 1), "MlpBlock_3/Dense_0/kernel");
    if (map.has("embeddings/position")) {
      model.checkLength(map.size("embeddings/position", 2, 0), "pos_embedding");
      model.check("max_len", map.size("embeddings/position", 2, 0), "pos_embedding");
    }
    model.settle();
  }

  private static void dropout(ConfigBuilder builder, ProteinLmGin model) {
    double rate = model.rate("dropout_rate");
    builder.put(
        "dropout",
        Map.of(
            "embeddings",
            rate,
            "attention",
            model.rate("attention_dropout_rate"),
            "mlp",
            rate,
            "residual",
            rate,
            "classifier",
            0.0));
  }

  private static Optional<Vocabulary> vocabulary(
      WeightFile file, WeightMap map, ProteinLmGin model) {
    Vocabulary expected = model == null ? ProteinVocabulary.google() : model.vocabulary();
    int size = map.size("embeddings/token", 2, 0);
    if (expected.size() != size) {
      throw new PerformerException(
          file.path()
              + ": "
              + EMBEDDING
              + " has "
              + size
              + " tokens, but "
              + (model == null
                  ? "Google's protein vocabulary has "
                  : "make_protein_domain of config.gin gives ")
              + expected.size());
    }
    return Optional.of(expected);
  }

  private static Integer id(Optional<java.util.OptionalInt> id) {
    return id.isPresent() && id.get().isPresent() ? id.get().getAsInt() : null;
  }
}
