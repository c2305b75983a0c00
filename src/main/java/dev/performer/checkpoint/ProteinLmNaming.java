package dev.performer.checkpoint;

import dev.performer.PerformerException;
import dev.performer.checkpoint.FlaxCheckpoint.Parameters;
import dev.performer.checkpoint.WeightMap.Layout;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.model.AttentionConfig;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import java.nio.file.Files;
import java.nio.file.Path;
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
    return Parameters.find(file, EMBEDDING)
        .filter(parameters -> NAMES.knows(numbered(parameters).keySet(), QUERY))
        .isPresent();
  }

  /** Tensors by names of numbers, as the table has them. */
  private static Map<String, String> numbered(Parameters parameters) {
    Pattern className = Pattern.compile("(^|/)[A-Za-z][A-Za-z0-9]*_([0-9]+)(?=/)");
    Map<String, String> tensors = new TreeMap<>();
    parameters
        .names()
        .forEach((own, tensor) -> tensors.put(className.matcher(own).replaceAll("$1$2"), tensor));
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
    Parameters parameters = Parameters.of(file, EMBEDDING, options, "protein-lm");
    WeightMap map = new WeightMap(file);
    numbered(parameters).forEach((name, tensor) -> place(map, name, tensor, options));
    parameters.ignoreState(map);
    ConfigBuilder config = new ConfigBuilder("protein-lm", map).putHeads();
    Optional<GinConfig> gin = gin(file, options);
    var model = new ProteinLmGin(gin.orElse(GinConfig.EMPTY), task(gin, options, map));
    boolean isCausal = model.task() == Task.CAUSAL_LM;
    boolean hasTable = map.has("embeddings/position");
    if (!hasTable) {
      long longest = options.maxLength() != null ? options.maxLength() : model.length();
      config.put("maxLength", longest);
      map.note("there is no table of positions: sinusoids are added, for lengths up to " + longest);
    }
    model.requireShapesOf(map);
    Vocabulary vocabulary = model.vocabulary();
    int size = map.size("embeddings/token", 2, 0);
    boolean fits = vocabulary.size() == size;
    String domain = gin.isPresent() ? "make_protein_domain of config.gin" : "Google's domain";
    map.check(fits, "%s has %s tokens, %s has %s", EMBEDDING, size, domain, vocabulary.size());
    config
        .put("task", model.task())
        .put("positions", hasTable ? "learned-from-sinusoids" : "sinusoidal")
        .put("padId", id(vocabulary.pad()))
        .put("shiftBos", isCausal ? id(vocabulary.bos()) : null);
    AttentionConfig attention = null;
    if (gin.isPresent()) {
      attention =
          new JaxAttention(gin.get(), map.size(QUERY, 3, 2), map)
              .of(model.attention(), model.causal());
      double dropout = model.rate("dropout_rate");
      config
          .put("dropout.embeddings", dropout)
          .put("dropout.mlp", dropout)
          .put("dropout.residual", dropout)
          .put("dropout.attention", model.rate("attention_dropout_rate"))
          .put("dropout.classifier", 0.0);
      model.notes().forEach(map::note);
    }
    if (attention != null || JaxAttention.isGiven(options)) {
      attention = JaxAttention.over(attention, options, isCausal, map);
      if (isCausal && !attention.isCausal()) {
        map.note("warning: attention of this language model is not causal: it sees the future");
      }
      config.put("attention", attention);
    }
    PerformerConfig whole = config.build(gin.isPresent() ? null : options.config());
    return map.finish(label(), whole, options, Optional.of(vocabulary), model.masking());
  }

  private static void place(WeightMap map, String name, String tensor, ImportOptions options) {
    if (!name.startsWith(REGRESSION)) {
      NAMES.place(map, tensor, name);
      return;
    }
    if (!options.allowMissing()) {
      throw map.wrong(
              "the regression head %s is not part of this model, and missing weights were not allowed, which leaves it out",
              tensor)
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
    return Optional.of(folder.resolve("config.gin"))
        .filter(Files::isRegularFile)
        .map(GinConfig::read);
  }

  /** The task as given; null where it is for the gin configuration to tell. */
  private static Task task(Optional<GinConfig> gin, ImportOptions options, WeightMap map) {
    String label = options.task();
    if (gin.isEmpty()) {
      if (label == null && options.configHas("task")) {
        label = StrictJson.readTree(options.config()).path("task").asText();
      }
      requireGiven(options, map, label);
    }
    return label == null ? null : task(label);
  }

  private static Task task(String label) {
    return switch (label) {
      case "causal-lm" -> Task.CAUSAL_LM;
      case "masked-lm" -> Task.MASKED_LM;
      default ->
          throw new PerformerException(
              "task " + label + " is none of protein_lm's; give causal-lm or masked-lm");
    };
  }

  private static void requireGiven(ImportOptions options, WeightMap map, String task) {
    boolean lacksAttention = !JaxAttention.isGiven(options) && !options.configHas("attention");
    String lacks =
        "there is no config.gin beside it, and weights do not tell what it would; name the file with its config, or give "
            + (task == null ? "the task, causal-lm (FlaxLM) or masked-lm (FlaxBERT)" : "")
            + (task == null && lacksAttention ? ", and " : "")
            + (lacksAttention ? "that attention is exact, or its kernel and features" : "");
    if (lacksAttention) {
      throw new UnknownAttentionException(
          map.path(), lacks, "task", "attention", "kernel", "features", "config");
    } else if (task == null) {
      throw map.wrong(lacks).settledBy("task", "config");
    }
  }

  private static Integer id(OptionalInt id) {
    return id.isPresent() ? id.getAsInt() : null;
  }
}
