package dev.performer.pipeline;

import static java.util.stream.Collectors.joining;

import dev.performer.RegularFiles;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import dev.performer.savedmodel.ModelCard.Objective;
import dev.performer.savedmodel.ModelCard.Provenance;
import dev.performer.savedmodel.ModelCard.Vocabulary;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.ServingForm;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.savedmodel.VariableSpec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A model card for people, {@code README.md} of a SavedModel, in the form that model hubs read: a
 * header in YAML, then text. It holds what performer.json and the graph record, and no more.
 *
 * @see <a href="https://huggingface.co/docs/hub/model-cards">Hugging Face's model cards</a>
 */
final class ModelReadme {
  private static final String FILE = "README.md";
  private static final String OURS = "# written by performer export";

  private final SavedModelDirectory model;
  private final String name;
  private final ServingForm form;
  private final long parameters;
  private final Optional<ModelCard> card;
  private final Optional<PerformerConfig> config;
  private final StringBuilder text = new StringBuilder();

  private ModelReadme(SavedModelDirectory model, String name, ServingForm form, long parameters) {
    this.model = model;
    this.name = name;
    this.form = form;
    this.parameters = parameters;
    card = ModelCard.read(model.path());
    config = PerformerModels.config(model.path());
  }

  /** The number of trainable parameters of a model. */
  static long parameters(SavedModelDirectory model) {
    var trainable = model.variables().stream().filter(VariableSpec::trainable);
    return trainable.mapToLong(VariableSpec::size).sum();
  }

  /**
   * Writes the card into a model that is being made, unless its makers wrote one.
   *
   * @param name what the model is called
   * @param parameters trainable ones, before variables became constants
   */
  static void write(SavedModelDirectory model, String name, ServingForm form, long parameters)
      throws IOException {
    Path file = model.path().resolve(FILE);
    if (Files.exists(file) && !RegularFiles.readString(file).contains(OURS)) {
      return;
    }
    Files.writeString(file, new ModelReadme(model, name, form, parameters).text());
  }

  private String text() {
    header();
    line("# " + name, "");
    line(about(), "");
    section("Model", facts());
    signatures();
    section("Data and training", training());
    metrics();
    loading();
    section("Limits", limits());
    return text.toString();
  }

  private void line(String... lines) {
    List.of(lines).forEach(line -> text.append(line).append('\n'));
  }

  private void section(String title, Collection<String> items) {
    line("## " + title, "");
    items.forEach(item -> line("* " + item));
    line("");
  }

  private <T> Optional<T> of(java.util.function.Function<ModelCard, T> part) {
    return card.map(part);
  }

  private Optional<Objective> objective() {
    return of(ModelCard::languageModel).map(LanguageModel::objective);
  }

  private Optional<TaskCard.Kind> task() {
    return of(ModelCard::task).map(TaskCard::kind);
  }

  private void header() {
    line("---", OURS, "library_name: tensorflow");
    pipelineTag().ifPresent(tag -> line("pipeline_tag: " + tag));
    line("tags:", "- tensorflow", "- savedmodel");
    if (config.isPresent()) {
      line("- performer");
    }
    Map<String, Double> measured = measured();
    if (!measured.isEmpty()) {
      line("metrics:");
      measured.keySet().forEach(metric -> line("- " + metric));
    }
    line("---", "");
  }

  private Optional<String> pipelineTag() {
    if (task().isPresent()) {
      TaskCard.Kind kind = task().get();
      String tag = kind.isOfTokens() ? "token-classification" : "text-classification";
      return kind.hasNumbers() ? Optional.empty() : Optional.of(tag);
    }
    boolean hasVectors = of(ModelCard::embedding).isPresent();
    return hasVectors
        ? Optional.of("feature-extraction")
        : objective().map(o -> o == Objective.CAUSAL_LM ? "text-generation" : "fill-mask");
  }

  private String about() {
    String what =
        task()
            .map(kind -> "A model for " + kind.label())
            .or(() -> of(ModelCard::embedding).map(e -> "A model that gives texts vectors"))
            .or(
                () ->
                    objective()
                        .map(
                            o ->
                                o == Objective.CAUSAL_LM
                                    ? "A causal language model"
                                    : "A masked language model"))
            .orElse("A model whose task is not recorded");
    String words =
        of(ModelCard::vocabulary).map(v -> " over the vocabulary " + words(v)).orElse("");
    return what + words + ", as a TensorFlow SavedModel.";
  }

  private static String words(Vocabulary vocabulary) {
    List<String> known = new ArrayList<>();
    if (vocabulary.name() != null) {
      known.add(vocabulary.name());
    }
    if (vocabulary.tokenizer() != null) {
      known.add(vocabulary.tokenizer());
    }
    String size = vocabulary.tokens() == null ? "" : " (" + vocabulary.tokens().size() + " tokens)";
    return (known.isEmpty() ? "of its own" : String.join(", ", known)) + size;
  }

  private List<String> facts() {
    List<String> facts = new ArrayList<>();
    config.ifPresent(c -> facts.add("Architecture: " + ConfigSummary.of(c) + "."));
    if (config.isEmpty()) {
      facts.add("Architecture: that of the graph; no configuration is recorded.");
    }
    if (parameters > 0) {
      facts.add(String.format(Locale.ROOT, "Trainable parameters: %,d.", parameters));
    }
    if (form.frozen()) {
      facts.add("Weights are constants of the graph: there is nothing to restore or to train.");
    }
    if (form.precision() == ServingForm.Precision.BFLOAT16) {
      facts.add(
          "Weight matrices, and products with them, are bfloat16; all else is float32, outputs included.");
    }
    if (form.batch() != null) {
      String length = form.length() == null ? "" : ", length " + form.length();
      facts.add("All inputs have fixed sizes: batch " + form.batch() + length + ".");
    }
    return facts;
  }

  private void signatures() {
    line("## Signatures", "", "| signature | inputs | outputs |", "|---|---|---|");
    for (SignatureSpec signature : model.signatures().values()) {
      String inputs = cell(signature.inputs().values());
      line(
          "| `%s` | %s | %s |"
              .formatted(signature.name(), inputs, cell(signature.outputs().values())));
    }
    line("");
  }

  private static String cell(Collection<TensorSpec> tensors) {
    return tensors.stream().map(TensorSpec::toString).collect(joining("<br>"));
  }

  private Provenance provenance() {
    return of(ModelCard::provenance).orElse(Provenance.UNKNOWN);
  }

  private List<String> training() {
    Provenance from = provenance();
    List<String> items = new ArrayList<>();
    add(items, "Imported from: %s", from.importedFrom());
    add(items, "Naming scheme of that checkpoint: %s", from.scheme());
    add(items, "Training step of that checkpoint: %s", from.importedStep());
    if (from.assumptions() != null) {
      from.assumptions().forEach(assumption -> items.add("Assumed: " + assumption));
    }
    add(items, "Trained on: %s", from.trainedOn());
    add(items, "Steps: %s", from.steps());
    add(items, "Seed: %s", from.seed());
    add(items, "Date: %s", from.date());
    if (from.versions() != null) {
      new TreeMap<>(from.versions())
          .forEach((program, v) -> items.add("With " + program + " " + v));
    }
    if (from.trainedOn() == null) {
      items.add("What data it was trained on is not recorded.");
    }
    return items;
  }

  private static void add(List<String> items, String format, Object value) {
    if (value != null) {
      items.add(format.formatted(value));
    }
  }

  private Map<String, Double> measured() {
    return new TreeMap<>(Objects.requireNonNullElse(provenance().metricsAfter(), Map.of()));
  }

  private void metrics() {
    Map<String, Double> after = measured();
    if (after.isEmpty()) {
      return;
    }
    Map<String, Double> before = Objects.requireNonNullElse(provenance().metricsBefore(), Map.of());
    line("## Metrics", "", "On the validation data.", "");
    line("| metric | before training | after |", "|---|---|---|");
    after.forEach(
        (metric, value) ->
            line("| %s | %s | %s |".formatted(metric, number(before.get(metric)), number(value))));
    line("");
  }

  private static String number(Double value) {
    return value == null ? "–" : String.format(Locale.ROOT, "%.4g", value);
  }

  private void loading() {
    SignatureSpec first =
        Optional.ofNullable(model.signatures().get("serving_default"))
            .orElseGet(() -> model.signatures().values().iterator().next());
    String inputs =
        first.inputs().keySet().stream().map(input -> input + "=" + input).collect(joining(", "));
    line("## Loading and serving", "");
    line(
        "```python",
        "import tensorflow as tf",
        "model = tf.saved_model.load(\"%s\")".formatted(name));
    line("outputs = model.signatures[\"%s\"](%s)".formatted(first.name(), inputs), "```", "");
    line("```java", "try (Predictor model = Predictor.load(Path.of(\"%s\"))) {".formatted(name));
    line(
        "  var outputs = model.predict(\"%s\", inputs); // arrays by name".formatted(first.name()));
    line("}", "```", "", "```");
    line("./performer serve " + name, "```", "");
    line(
        "TensorFlow Serving has the directory that holds the numbered versions as its model base path.",
        "");
  }

  private List<String> limits() {
    List<String> items = new ArrayList<>();
    of(ModelCard::languageModel)
        .map(LanguageModel::maxLength)
        .ifPresent(longest -> items.add("A sequence has at most " + longest + " tokens."));
    of(ModelCard::languageModel)
        .map(LanguageModel::paddedLength)
        .ifPresent(
            length ->
                items.add(
                    "Padding is seen: sequences are padded to "
                        + length
                        + " tokens as in training."));
    if (model.signatures().containsKey(PerformerSignatures.STEP)) {
      items.add("`decode_step` continues from states; a client keeps them between calls.");
    }
    if (measured().isEmpty()) {
      items.add("How good it is was not measured, or is not recorded.");
    }
    items.add("Biases, intended use and license are not recorded here.");
    return items;
  }
}
