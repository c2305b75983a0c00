package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

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
  private static final Map<String, Task> TASKS =
      Map.of("causal-lm", Task.CAUSAL_LM, "masked-lm", Task.MASKED_LM);

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
    IntStream.Builder blocks = IntStream.builder();
    for (Map.Entry<String, String> own : parameters.names().entrySet()) {
      String name = className.matcher(own.getKey()).replaceAll("$1$2");
      tensors.put(name, own.getValue());
      Matcher child = CHILD.matcher(name);
      if (child.matches() && child.group(2).equals("1/query/kernel")) {
        blocks.add(Integer.parseInt(child.group(1)));
      }
    }
    var range = blocks.build().summaryStatistics();
    int first = range.getCount() == 0 ? 0 : range.getMin();
    int last = range.getCount() == 0 ? -1 : range.getMax();
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
  public ModelWeights map(WeightMap map) {
    ImportOptions options = map.options;
    Parameters parameters = Parameters.of(map, EMBEDDING, "protein-lm");
    numbered(parameters).forEach((name, tensor) -> place(map, name, tensor));
    parameters.ignoreState(map);
    ConfigBuilder config = new ConfigBuilder("protein-lm", map).putHeads();
    Optional<GinConfig> gin = gin(map.file, options);
    var model = new ProteinLmGin(gin.orElse(GinConfig.EMPTY), task(gin, map));
    boolean isCausal = model.task == Task.CAUSAL_LM;
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
    String positions = hasTable ? "learned-from-sinusoids" : "sinusoidal";
    config.put("task", model.task, "positions", positions, "padId", id(vocabulary.pad()));
    config.put("shiftBos", isCausal ? id(vocabulary.bos()) : null);
    AttentionConfig attention = null;
    if (gin.isPresent()) {
      var functions = new JaxAttention(gin.get(), map.size(QUERY, 3, 2), map);
      attention = functions.of(model.attention(), model.causal());
      double rate = model.rate("dropout_rate");
      config
          .put("dropout.embeddings", rate, "dropout.mlp", rate, "dropout.residual", rate)
          .put("dropout.attention", model.rate("attention_dropout_rate"))
          .put("dropout.classifier", 0.0);
      model.notes().forEach(map::note);
    }
    if (attention != null || JaxAttention.isGiven(options)) {
      attention = JaxAttention.over(attention, isCausal, map);
      if (isCausal && !attention.isCausal()) {
        map.note("warning: attention of this language model is not causal: it sees the future");
      }
      config.put("attention", attention);
    }
    PerformerConfig whole = config.build(gin.isPresent() ? null : options.config());
    return map.finish(whole, Optional.of(vocabulary), model.masking());
  }

  private static void place(WeightMap map, String name, String tensor) {
    if (!name.startsWith(REGRESSION)) {
      NAMES.place(map, tensor, name);
      return;
    }
    String wrong =
        "the regression head %s is not part of this model, and missing weights were not allowed, which leaves it out";
    map.checkGiven("allowMissing", map.options.allowMissing(), wrong, tensor);
    map.ignore(tensor);
    map.note("the regression head " + tensor + " was left out: it is not part of this model");
  }

  private static Optional<GinConfig> gin(WeightFile file, ImportOptions options) {
    Path beside = file.folder().resolve("config.gin");
    Path config = options.config() != null ? options.config() : beside;
    boolean isGin = config.toString().endsWith(".gin");
    return isGin && (config != beside || Files.isRegularFile(beside))
        ? Optional.of(GinConfig.read(config))
        : Optional.empty();
  }

  /** The task as given; null where it is for the gin configuration to tell. */
  private static Task task(Optional<GinConfig> gin, WeightMap map) {
    ImportOptions options = map.options;
    String label = options.task();
    if (gin.isEmpty()) {
      if (label == null && options.configHas("task")) {
        label = StrictJson.readTree(options.config()).path("task").asText();
      }
      requireGiven(map, label);
    }
    Task task = label == null ? null : TASKS.get(label);
    String wrong = "task %s is none of protein_lm's; give causal-lm or masked-lm";
    require(gin.isPresent() || label == null || task != null, wrong, label);
    return task;
  }

  private static void requireGiven(WeightMap map, String task) {
    ImportOptions options = map.options;
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
