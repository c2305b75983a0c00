package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.data.Masking;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Vocabulary;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * Google's protein_lm ({@code FlaxLM} and {@code FlaxBERT}). Children are numbered in the order of
 * their making; very old Flax gave them the number alone, without the class.
 *
 * @see <a
 *     href="https://github.com/google-research/google-research/blob/master/protein_lm/modules.py">modules.py</a>
 */
final class ProteinLmNaming implements NamingScheme {
  private static final String EMBEDDING = "embed/embedding";
  private static final String QUERY = "layer_0/attention/query/kernel";
  private static final Pattern CHILD = Pattern.compile("([0-9]{1,5})/(.+)");

  /** Every child is its number: that of a block from 0, +1 for the first child behind them. */
  private static final NameTable NAMES =
      new NameTable(
          Layout.SAME,
          "",
          """
          embed -> embeddings/token
          -1 -> embeddings/position
          {i}/0 -> layer_{i}/attention_norm
          {i}/1/(query|key|value) -> layer_{i}/attention/$2
          {i}/1/out -> layer_{i}/attention/output
          {i}/2 -> layer_{i}/mlp_norm
          {i}/3/0 -> layer_{i}/mlp/in
          {i}/3/1 -> layer_{i}/mlp/out
          \\+1 -> final_norm
          \\+2 -> head/logits
          """);

  private static final String REGRESSION = "+3/";

  @Override
  public String label() {
    return "protein_lm";
  }

  @Override
  public boolean recognizes(WeightFile file) {
    return FlaxParameters.find(file, EMBEDDING)
        .filter(parameters -> NAMES.knows(numbered(parameters).keySet(), QUERY))
        .isPresent();
  }

  /** Tensors by names of numbers, as the table has them. */
  private static Map<String, String> numbered(FlaxParameters parameters) {
    Map<String, String> tensors = new TreeMap<>();
    parameters
        .names()
        .forEach(
            (own, tensor) ->
                tensors.put(
                    own.replaceAll("(^|/)[A-Za-z][A-Za-z0-9]*_([0-9]+)(?=/)", "$1$2"), tensor));
    int[] blocks =
        tensors.keySet().stream()
            .map(CHILD::matcher)
            .filter(child -> child.matches() && child.group(2).equals("1/query/kernel"))
            .mapToInt(child -> Integer.parseInt(child.group(1)))
            .toArray();
    int first = IntStream.of(blocks).min().orElse(0);
    int last = IntStream.of(blocks).max().orElse(-1);
    Map<String, String> numbered = new TreeMap<>();
    tensors.forEach(
        (name, tensor) -> {
          Matcher child = CHILD.matcher(name);
          int number = child.matches() ? Integer.parseInt(child.group(1)) : 0;
          String place = number > last ? "+" + (number - last) : "" + (number - first);
          numbered.put(child.matches() ? place + "/" + child.group(2) : name, tensor);
        });
    return numbered;
  }

  @Override
  public ModelWeights map(WeightFile file, ImportOptions options) {
    FlaxParameters parameters = FlaxParameters.of(file, EMBEDDING, options, "protein-lm");
    WeightMap map = new WeightMap(file);
    numbered(parameters).forEach((name, tensor) -> place(map, name, tensor, options));
    parameters.ignoreState(map);
    Optional<GinConfig> gin = gin(file, options);
    Task given = options.task() == null ? null : task(options.task());
    ConfigBuilder config = new ConfigBuilder("protein-lm", map).putHeads();
    ProteinLmGin model = gin.map(g -> new ProteinLmGin(g, given)).orElse(null);
    if (model == null) {
      requireGiven(options, file, given);
    }
    Task task = model == null ? given : model.task();
    boolean isCausal = task == Task.CAUSAL_LM;
    if (task != null) {
      config.put("task", task);
    }
    putPositions(config, map, model, options);
    if (model != null) {
      check(map, model);
    }
    Vocabulary vocabulary = vocabulary(map, model);
    config.put("padId", id(vocabulary.pad()));
    config.put("shiftBos", isCausal ? id(vocabulary.bos()) : null);
    AttentionConfig attention = null;
    if (model != null) {
      int headSize = map.size(QUERY, 3, 2);
      attention =
          new GinAttention(gin.get(), headSize, map).attention(model.attention(), model.causal());
      describe(config, map, model);
    }
    if (attention != null || JaxAttention.isGiven(options)) {
      attention = JaxAttention.over(attention, options, isCausal, map);
      if (isCausal && !attention.isCausal()) {
        map.note("warning: attention of this language model is not causal: it sees the future");
      }
      config.put("attention", attention);
    }
    PerformerConfig whole = config.build(model == null ? options.config() : null);
    Optional<Masking> masking = Optional.empty();
    if (whole.task() == Task.MASKED_LM) {
      masking = model == null ? Optional.of(Masking.PROTEIN_LM) : model.masking();
    }
    return map.finish(label(), whole, options, Optional.of(vocabulary), masking);
  }

  private static void place(WeightMap map, String name, String tensor, ImportOptions options) {
    if (!name.startsWith(REGRESSION)) {
      NAMES.place(map, tensor, name);
      return;
    }
    if (!options.allowMissing()) {
      throw new PerformerException(
              "%s has a regression head, %s, one number for each token; no model here has one, and missing weights were not allowed, which leaves it out"
                  .formatted(map.path(), tensor))
          .settledBy("allowMissing");
    }
    map.ignore(tensor);
    map.note("the regression head " + tensor + " was left out: it is not part of this model");
  }

  private static Optional<GinConfig> gin(WeightFile file, ImportOptions options) {
    if (options.config() != null) {
      return Optional.of(options.config())
          .filter(config -> config.toString().endsWith(".gin"))
          .map(GinConfig::read);
    }
    Path folder =
        file instanceof FlaxCheckpoint flax
            ? flax.directory()
            : file.path().toAbsolutePath().getParent();
    Path beside = folder.resolve("config.gin");
    return Files.isRegularFile(beside) ? Optional.of(GinConfig.read(beside)) : Optional.empty();
  }

  private static void requireGiven(ImportOptions options, WeightFile file, Task given) {
    List<String> missing = new ArrayList<>();
    if (given == null && !options.configHas("task")) {
      missing.add("the task, causal-lm (FlaxLM) or masked-lm (FlaxBERT)");
    }
    boolean lacksAttention = !JaxAttention.isGiven(options) && !options.configHas("attention");
    if (lacksAttention) {
      missing.add("that attention is exact, or its kernel and features");
    }
    String message =
        "%s: there is no config.gin beside it, and weights do not tell what it would; give %s, or name the file with its config"
            .formatted(file.path(), String.join(", and ", missing));
    if (lacksAttention) {
      throw new UnknownAttentionException(
          message, "task", "attention", "kernel", "features", "config");
    } else if (!missing.isEmpty()) {
      throw new PerformerException(message).settledBy("task", "config");
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

  private static void putPositions(
      ConfigBuilder config, WeightMap map, ProteinLmGin model, ImportOptions options) {
    boolean hasTable = map.has("embeddings/position");
    if (model != null) {
      model.checkPositions(hasTable);
    }
    if (hasTable) {
      config.put("positions", "learned-from-sinusoids");
      return;
    }
    Optional<Long> length = Optional.ofNullable(model).flatMap(ProteinLmGin::length);
    long longest = options.maxLength() != null ? options.maxLength() : length.orElse(1024L);
    config.put("positions", "sinusoidal").put("maxLength", longest);
    map.note("there is no table of positions: sinusoids are added, for lengths up to " + longest);
  }

  private static void check(WeightMap map, ProteinLmGin model) {
    long heads = map.size(QUERY, 3, 1);
    String query = "the kernel of queries";
    model.check("emb_dim", map.size("embeddings/token", 2, 1), EMBEDDING);
    model.check("num_heads", heads, query);
    model.check("qkv_dim", heads * map.size(QUERY, 3, 2), query);
    model.check("num_layers", map.layers(), "the number of Transformer1DBlock");
    model.check("mlp_dim", map.size("layer_0/mlp/in/kernel", 2, 1), "MlpBlock_3/Dense_0/kernel");
    if (map.has("embeddings/position")) {
      model.checkLength(map.size("embeddings/position", 2, 0), "pos_embedding");
      model.check("max_len", map.size("embeddings/position", 2, 0), "pos_embedding");
    }
    model.settle();
  }

  /** What is not in the shapes and no attention. */
  private static void describe(ConfigBuilder config, WeightMap map, ProteinLmGin model) {
    List<?> others = model.otherOutputs();
    if (!others.isEmpty()) {
      map.note("output_head: besides logits, " + others + " are no output of this model");
    }
    model.training().ifPresent(map::note);
    model.skipped().forEach(line -> map.note("config.gin: '" + line + "' was not followed"));
    Map<String, Double> dropout = new TreeMap<>(Map.of("classifier", 0.0));
    List.of("embeddings", "mlp", "residual")
        .forEach(part -> dropout.put(part, model.rate("dropout_rate")));
    dropout.put("attention", model.rate("attention_dropout_rate"));
    config.put("dropout", dropout);
  }

  private static Vocabulary vocabulary(WeightMap map, ProteinLmGin model) {
    Vocabulary expected = model == null ? ProteinVocabulary.google() : model.vocabulary();
    int size = map.size("embeddings/token", 2, 0);
    require(
        expected.size() == size,
        "%s: %s has %s tokens, but %s %s",
        map.path(),
        EMBEDDING,
        size,
        model == null
            ? "Google's protein vocabulary has"
            : "make_protein_domain of config.gin gives",
        expected.size());
    return expected;
  }

  private static Integer id(OptionalInt id) {
    return id.isPresent() ? id.getAsInt() : null;
  }
}
