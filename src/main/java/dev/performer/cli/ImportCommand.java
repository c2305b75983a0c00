package dev.performer.cli;

import dev.performer.PerformerException;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.projection.Projection;
import dev.performer.attention.projection.Threefry;
import dev.performer.checkpoint.ImportOptions;
import dev.performer.checkpoint.ImportOptions.AttentionKind;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.ConfigSummary;
import dev.performer.pipeline.Importer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "import",
    description = {
      "Turn a checkpoint of Python code into a SavedModel that every other command takes.",
      "",
      "Reads Flax msgpack (a file, or a directory with checkpoint_N and config.gin), TensorFlow checkpoints, Keras .h5 and .keras,",
      ".safetensors, .npz, and directories of Hugging Face and KerasHub (BERT, RoBERTa, DistilBERT, GPT-2). What a checkpoint leaves",
      "open, such as the kernel of its attention, is taken from the options; what is assumed is listed."
    },
    footer = {
      "",
      "Examples:",
      "  ./performer import checkpoints/lm --output lm",
      "  ./performer import bert.safetensors --attention favor --output bert"
    })
final class ImportCommand extends PerformerCommand {
  @Mixin private SharedOptions.Target target;
  @Mixin private SharedOptions.Conversion conversion;

  @Parameters(index = "0", paramLabel = "PATH", description = "A checkpoint: file or directory.")
  private Path path;

  @Option(names = "--scheme", description = "Whose names the tensors have (default: found out).")
  private String scheme;

  @Option(
      names = "--preset",
      description = "protein-lm, kernel-encoder, lra-encoder, bert, performer (default: by names).")
  private String preset;

  @Option(
      names = "--config",
      description = "config.gin, or our keys in .yaml or .json (default: beside the checkpoint).")
  private Path config;

  @Option(
      names = "--task",
      description = "encoder, causal-lm, masked-lm, classification or regression.")
  private String task;

  @Option(
      names = "--attention",
      description =
          "exact or favor: what the checkpoint has; favor also turns weights of exact softmax attention into FAVOR+, as convert does.")
  private AttentionKind attention;

  @Option(names = "--convention", description = "performer, google-tf, google-jax or model-garden.")
  private Convention convention;

  @Option(names = "--directions", description = "Of a drawn projection, such as orthogonal.")
  private Projection.Directions directions;

  @Option(names = "--causal", negatable = true, description = "Attention sees no later tokens.")
  private Boolean causal;

  @Option(names = "--heads", paramLabel = "H", description = "Where the shapes leave it open.")
  private Integer heads;

  @Option(
      names = "--norm-first",
      negatable = true,
      description = "Norms stand before attention and MLP.")
  private Boolean normFirst;

  @Option(names = "--classes", description = "Of a new classifier (--task, --allow-missing).")
  private Integer classes;

  @Option(names = "--pooling", description = "Of a classifier: cls, mean, max, sum or flatten.")
  private String pooling;

  @Option(names = "--max-length", description = "Where no table of positions has it.")
  private Integer maxLength;

  @Option(names = "--mapping", description = "JSON or YAML: our name of each tensor in the file.")
  private Path mapping;

  @Option(names = "--threefry", description = "JAX's: legacy, or partitionable (since jax 0.5).")
  private Threefry.Stream threefry;

  @Option(names = "--allow-missing", description = "Go on with tensors missing or misshapen.")
  private boolean allowMissing;

  @Option(
      names = "--tokenizer",
      description =
          "tokenizer.json, BERT's or ESM's vocab.txt, vocab.json with merges.txt, bytes, bytes:N, google-protein, pad-first-protein or letters:ABC… (default: what the checkpoint has, else the tokenizer.json or vocab.txt beside it).")
  private String tokenizer;

  @Override
  public Integer call() {
    boolean converts = attention == AttentionKind.FAVOR;
    requireUsage(
        converts || !conversion.isGiven() && conversion.favor.sinks == null,
        "--layers, --exact-heads and --sinks need --attention favor");
    requireUsage(
        !converts || convention == null && directions == null,
        "--convention and --directions say what a checkpoint has; with --attention favor it gets ours");
    Importer importer = Importer.of(path).with(options(converts));
    if (converts || conversion.interpolates()) {
      importer = importer.converting(conversion.converter(converts, Optional.empty()));
    }
    if (tokenizer != null) {
      importer = importer.with(Tokenizer.named(tokenizer));
    }
    try {
      return report(importer.write(target.path, target.replace));
    } catch (PerformerException e) {
      throw e.settings().contains(Importer.CONVERSION)
          ? new PerformerException(e.getMessage() + "; leave out " + converting(converts), e)
          : e;
    }
  }

  private String converting(boolean converts) {
    return converts ? "--attention" : conversion.positions();
  }

  private ImportOptions options(boolean converts) {
    var given =
        converts
            ? FavorConfig.builder()
            : conversion.favor.features().convention(convention).directions(directions);
    return ImportOptions.builder()
        .scheme(scheme)
        .preset(preset)
        .config(config)
        .task(task)
        .attention(converts ? null : attention)
        .favor(given.threefry(threefry).causal(causal))
        .heads(heads)
        .window(converts ? null : conversion.favor.window)
        .normFirst(normFirst)
        .classes(classes)
        .pooling(pooling)
        .maxLength(maxLength)
        .mapping(mapping)
        .allowMissing(allowMissing)
        .build();
  }

  private int report(Importer.Outcome imported) {
    print(path + ": " + imported.scheme());
    print("   " + ConfigSummary.of(imported.config()));
    imported.tokenizer().ifPresent(t -> print("   tokenizer: %s, %d tokens", t.label(), t.size()));
    imported.notes().forEach(note -> print("   assumed: " + note));
    if (!imported.notFinite().isEmpty()) {
      String weights = String.join(", ", imported.notFinite());
      System.err.println("Warning: these weights hold NaN or infinity: " + weights);
    }
    boolean resumes = imported.optimizerStep().isPresent();
    String written = "Written: %s, %d variables, %,d parameters";
    written += resumes ? ", and its optimizer's moments" : "";
    print(written, target.path, imported.variables(), imported.parameters());
    var result = new LinkedHashMap<String, Object>();
    result.put("model", target.path);
    result.put("scheme", imported.scheme());
    result.put("config", imported.config().toJson());
    result.put("variables", imported.variables());
    result.put("parameters", imported.parameters());
    result.put("tokenizer", imported.tokenizer().map(Tokenizer::label).orElse(null));
    result.put("assumptions", imported.notes());
    result.put("notFinite", imported.notFinite());
    result.put("optimizerStep", resumes ? imported.optimizerStep().getAsLong() : null);
    return done(result);
  }
}
