package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.FavorKeys;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Threefry;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.ConfigSummary;
import dev.performer.pipeline.Importer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code import}: a checkpoint of another program, as a model of ours. */
@Command(
    name = "import",
    description = {
      "Turn a checkpoint of Python code into a SavedModel that every other command takes.",
      "",
      "Reads Flax msgpack (a file, or a directory with checkpoint_N and config.gin), TensorFlow checkpoints, Keras .h5 and .keras,",
      ".safetensors and .npz. What a checkpoint does not say, such as the kernel of its attention, is taken from the options; what",
      "is assumed is listed."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer import checkpoints/lm --output lm",
      "  ./performer import bert.safetensors --attention favor --output bert"
    })
final class ImportCommand implements Callable<Integer> {
  @Mixin private OutputOptions output;
  @Mixin private TargetOptions target;
  @Mixin private FavorOptions favor;

  @Parameters(index = "0", paramLabel = "PATH", description = "A checkpoint: file or directory.")
  private Path path;

  @Option(
      names = "--scheme",
      paramLabel = "S",
      description = "Whose names the tensors have (default: found out).")
  private String scheme;

  @Option(
      names = "--preset",
      paramLabel = "P",
      description =
          "The kind of model: protein-lm, kernel-encoder, lra-encoder, bert or performer (default: by its names).")
  private String preset;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description =
          "How the model is built: config.gin, or our keys in .yaml or .json (default: the config beside the checkpoint).")
  private Path config;

  @Option(
      names = "--task",
      paramLabel = "T",
      description = "encoder, causal-lm, masked-lm, classification or regression.")
  private String task;

  @Option(
      names = "--attention",
      paramLabel = "A",
      description =
          "exact or favor: what the checkpoint has; favor also turns weights of exact softmax attention into FAVOR+, as convert does.")
  private ImportOptions.AttentionKind attention;

  @Option(
      names = "--convention",
      paramLabel = "C",
      description = "performer, google-tf, google-jax or model-garden.")
  private Convention convention;

  @Option(
      names = "--directions",
      paramLabel = "D",
      description = "Of a projection that is drawn, such as orthogonal.")
  private Projection.Directions directions;

  @Option(
      names = "--causal",
      negatable = true,
      description = "Whether attention sees no later tokens.")
  private Boolean causal;

  @Option(names = "--heads", paramLabel = "H", description = "Where the shapes do not say it.")
  private Integer heads;

  @Option(
      names = "--window",
      paramLabel = "W",
      description = "Of Model Garden's causal attention: the chunks that a token sees.")
  private Integer window;

  @Option(
      names = "--norm-first",
      negatable = true,
      description = "Whether norms stand before attention and MLP, where weights do not say it.")
  private Boolean normFirst;

  @Option(
      names = "--pooling",
      paramLabel = "P",
      description = "Of a classifier: cls, mean, max, sum or flatten.")
  private String pooling;

  @Option(
      names = "--max-length",
      paramLabel = "L",
      description = "Tokens of a sequence at most, where no table of positions has it.")
  private Integer maxLength;

  @Option(
      names = "--mapping",
      paramLabel = "FILE",
      description = "JSON or YAML: our name of each tensor in the file.")
  private Path mapping;

  @Option(
      names = "--threefry",
      paramLabel = "T",
      description = "JAX's random numbers: legacy, or partitionable (the default since jax 0.5).")
  private Threefry.Stream threefry;

  @Option(
      names = "--allow-missing",
      description = "Go on where tensors are missing, superfluous or of another shape.")
  private boolean allowMissing;

  @Option(
      names = "--tokenizer",
      paramLabel = "T",
      description =
          "tokenizer.json, BERT's vocab.txt, bytes, bytes:N, google-protein, pad-first-protein or letters:ABC… (default: what the checkpoint has, else the tokenizer.json or vocab.txt beside it).")
  private String tokenizer;

  @Override
  public Integer call() {
    boolean converts = attention == ImportOptions.AttentionKind.FAVOR;
    if (!converts && (favor.layers != null || favor.exactHeads != null)) {
      throw new UsageException("--layers and --exact-heads need --attention favor");
    }
    if (converts && (convention != null || directions != null)) {
      throw new UsageException(
          "--convention and --directions say what a checkpoint has; with --attention favor it gets ours");
    }
    Importer importer = Importer.of(path).with(options(converts));
    if (converts) {
      importer = importer.converting(favor.conversion());
    }
    if (tokenizer != null) {
      importer = importer.with(Tokenizer.named(tokenizer));
    }
    try {
      report(importer.write(target.path, target.replace));
    } catch (PerformerException e) {
      throw e.settings().contains(Importer.CONVERSION)
          ? new PerformerException(e.getMessage() + "; leave out --attention", e)
          : e;
    }
    return 0;
  }

  private ImportOptions options(boolean converts) {
    FavorKeys given =
        converts
            ? FavorConfig.builder()
            : favor.given().convention(convention).directions(directions);
    return ImportOptions.builder()
        .scheme(scheme)
        .preset(preset)
        .config(config)
        .task(task)
        .attention(converts ? null : attention)
        .favor(given.threefry(threefry).causal(causal))
        .heads(heads)
        .window(window)
        .normFirst(normFirst)
        .pooling(pooling)
        .maxLength(maxLength)
        .mapping(mapping)
        .allowMissing(allowMissing)
        .build();
  }

  private void report(Importer.Outcome imported) {
    output.text().println(path + ": " + imported.scheme());
    output.text().println("   " + ConfigSummary.of(imported.config()));
    imported
        .tokenizer()
        .ifPresent(
            t -> output.text().println("   tokenizer: " + t.label() + ", " + t.size() + " tokens"));
    imported.notes().forEach(note -> output.text().println("   assumed: " + note));
    if (!imported.notFinite().isEmpty()) {
      String weights = String.join(", ", imported.notFinite());
      System.err.println("Warning: these weights hold NaN or infinity: " + weights);
    }
    output
        .text()
        .printf(
            Locale.ROOT,
            "Written: %s, %d variables, %,d parameters%s%n",
            target.path,
            imported.variables(),
            imported.parameters(),
            imported.optimizerStep().isPresent() ? ", and its optimizer's moments" : "");
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("model", target.path.toString());
    json.put("scheme", imported.scheme());
    json.put("config", imported.config().toJson());
    json.put("variables", imported.variables());
    json.put("parameters", imported.parameters());
    json.put("tokenizer", imported.tokenizer().map(Tokenizer::label).orElse(null));
    json.put("assumptions", imported.notes());
    json.put("notFinite", imported.notFinite());
    json.put(
        "optimizerStep",
        imported.optimizerStep().isPresent() ? imported.optimizerStep().getAsLong() : null);
    output.printJson(json);
  }
}
