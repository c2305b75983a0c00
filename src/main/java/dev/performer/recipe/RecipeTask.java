package dev.performer.recipe;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.SpanCorruption;
import dev.performer.data.StrictJson;
import dev.performer.data.Vocabulary;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.recipe.RecipeData.Kind;
import dev.performer.training.LoopOptions;
import dev.performer.training.Measures;
import dev.performer.training.Measures.ClassTally;
import dev.performer.training.Measures.RegressionTally;
import dev.performer.training.Objective;
import dev.performer.training.Objective.CausalLanguageModel;
import dev.performer.training.Objective.Classification;
import dev.performer.training.Objective.MaskedLanguageModel;
import dev.performer.training.Objective.Regression;
import dev.performer.training.Objective.SpanCorruptedSequence;
import dev.performer.training.Standardization;
import dev.performer.training.Trainable;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;

/** All that a recipe knows of a task, by the names of {@link Task}: one constant a task. */
enum RecipeTask {
  CAUSAL_LM(null, (data, model) -> new CausalLanguageModel(model.shiftBos() != null)) {
    @Override
    void complete(Kind kind, ObjectNode data) {
      if (kind == Kind.PIXELS && !data.hasNonNull("begin")) {
        data.put("begin", true);
      }
    }

    @Override
    void check(RecipeData data, PerformerConfig model) {
      model.requireCausal();
    }

    @Override
    Measures measures(Trainable model, RecipeData data, int classes) {
      return data.kind() == Kind.PIXELS ? Measures.bitsPerDimension() : Measures.NONE;
    }
  },

  MASKED_LM(null, (data, model) -> new MaskedLanguageModel(data.masking().proportions())) {
    @Override
    void check(RecipeData data, PerformerConfig model) {
      String name = data.vocabulary();
      boolean fits = data.masking().proportions().mask() == 0 || data.tokens().mask().isPresent();
      String other = name.equals("bytes") ? "; bytes:5 has one" : "";
      String text = "task masked-lm needs a mask token, which the vocabulary %s lacks%s";
      require(fits, text, name, other);
      super.check(data, model);
    }
  },

  CLASSIFICATION(null, (data, model) -> new Classification(model.classes())) {
    @Override
    boolean dependsOnFiles(RecipeData data, boolean isCounted) {
      return data.kind() == Kind.PIXELS
          || data.format() instanceof DataFormat.Table table && table.classes() == null
          || data.kind() == Kind.TFRECORD && !isCounted;
    }

    @Override
    RecipeData measured(RecipeData data) {
      List<String> classes = data.format().classNames(data);
      var names = StrictJson.tree(classes);
      return classes == null ? data : data.with(keys -> keys.set("classes", names));
    }

    @Override
    void complete(ObjectNode model, RecipeData data) {
      if (!model.has("classes")) {
        int classes = data.format().classes(data);
        String text =
            "task classification needs classes, but %s does not say how many; name its label column, or set model.classes";
        require(classes > 1, text, data.name());
        model.put("classes", classes);
      }
    }

    @Override
    Measures measures(Trainable model, RecipeData data, int classes) {
      return model.measures().with(() -> new ClassTally(classes));
    }
  },

  REGRESSION("standardize", (data, model) -> new Regression(data.standardize())) {
    @Override
    void check(LoopOptions training) {
      require(
          training.labelSmoothing() == 0 && training.zLoss() == 0,
          "training.labelSmoothing and training.zLoss make no sense with task regression");
    }

    @Override
    void check(Kind kind, JsonNode data) {
      boolean hasNumbers = kind == Kind.TABLE || kind == Kind.TFRECORD;
      String text =
          "task regression needs numbers, which data.kind %s has not; expected table or tfrecord";
      require(hasNumbers, text, kind.label());
      super.check(kind, data);
    }

    @Override
    boolean dependsOnFiles(RecipeData data, boolean isCounted) {
      return data.standardize() == null;
    }

    @Override
    RecipeData measured(RecipeData data) {
      if (data.standardize() != null) {
        return data;
      }
      // Numbers are read as numbers, whatever their unit.
      RecipeData plain = in(Standardization.NONE, data);
      return in(Standardization.of(plain.format().parts(plain, 0).train()), data);
    }

    private RecipeData in(Standardization unit, RecipeData data) {
      return data.with(keys -> keys.set("standardize", StrictJson.tree(unit)));
    }

    @Override
    void check(RecipeData data, PerformerConfig model) {
      int classes = model.classes();
      require(classes == 1, "model.classes is %d, but task regression guesses one number", classes);
      super.check(data, model);
    }

    @Override
    Measures measures(Trainable model, RecipeData data, int classes) {
      return model.measures().with(() -> new RegressionTally(data.standardize()));
    }
  },

  SEQUENCE_TO_SEQUENCE(
      "spans", (data, model) -> new SpanCorruptedSequence(corruption(data), model.padId())) {
    @Override
    void check(Kind kind, JsonNode data) {
      require(
          !data.hasNonNull("masking"),
          "data.masking makes no sense with task sequence-to-sequence; data.spans specifies what is missing");
      String odd =
          "task sequence-to-sequence and data.kind %s do not go together; expected fasta, text, table or tfrecord";
      require(!kind.ownsTokens(), odd, kind.label());
      require(
          !data.hasNonNull("label"),
          "data.label makes no sense with task sequence-to-sequence, which writes missing spans");
      super.check(kind, data);
    }

    @Override
    void complete(Kind kind, ObjectNode data) {
      data.putNull("masking");
      data.withObjectProperty("spans"); // made where it lacks
    }

    @Override
    RecipeData measured(RecipeData data) {
      RecipeData.Spans spans = data.spans().resolved(data.tokenizer().vocabulary(), data.length());
      return data.with(keys -> keys.set("spans", StrictJson.tree(spans)));
    }

    @Override
    void complete(ObjectNode model, RecipeData data) {
      int longest = Math.max(data.length(), longestTarget(data));
      model.putIfAbsent("maxLength", IntNode.valueOf(longest));
      if (model.path("layers").isInt()) {
        model.putIfAbsent("decoderLayers", model.get("layers"));
      }
      Vocabulary vocabulary = data.tokens();
      var first = vocabulary.bos().isPresent() ? vocabulary.bos() : vocabulary.pad();
      first.ifPresent(id -> model.putIfAbsent("shiftBos", IntNode.valueOf(id)));
    }

    @Override
    void check(RecipeData data, PerformerConfig model) {
      String padding =
          "task sequence-to-sequence needs padding, which the vocabulary %s lacks; set model.padId, or take another";
      require(model.padId() != null, padding, data.vocabulary());
      require(
          model.shiftBos() != null,
          "task sequence-to-sequence needs model.shiftBos, the token that a decoder starts with");
      int own = model.maxLength();
      int written = longestTarget(data);
      String tooLong =
          "model.maxLength is %d, but the decoder writes up to %d tokens; raise it, or lower data.spans.rate";
      require(own >= written, tooLong, own, written);
      for (int i = 0; i < model.decoderLayers(); i++) {
        boolean isCausal = model.decoderAttentionOf(i).isCausal();
        require(isCausal, "task sequence-to-sequence needs a causal model.decoderAttention");
      }
    }

    private int longestTarget(RecipeData data) {
      return corruption(data).targetLength(data.length());
    }
  };

  /** A key of the data that no other task has; null for none. */
  private final String key;

  private final BiFunction<RecipeData, PerformerConfig, Objective> objective;

  RecipeTask(String key, BiFunction<RecipeData, PerformerConfig, Objective> objective) {
    this.key = key;
    this.objective = objective;
  }

  static RecipeTask of(Task task) {
    return valueOf(task.name());
  }

  /** The tasks that a recipe may have. */
  static List<String> labels() {
    return Arrays.stream(values()).map(RecipeTask::label).toList();
  }

  private String label() {
    return Task.valueOf(name()).label();
  }

  /** Refuses a loop that does not fit. */
  void check(LoopOptions training) {}

  /** Refuses keys of the data that do not fit. */
  void check(Kind kind, JsonNode data) {
    boolean isGuessed = kind != Kind.LISTOPS || this == CLASSIFICATION;
    require(isGuessed, "data.kind listops is of classes; expected task classification");
    for (RecipeTask other : values()) {
      boolean isOthers = other != this && other.key != null && data.hasNonNull(other.key);
      require(!isOthers, "data.%s makes sense with task %s only", other.key, other.label());
    }
  }

  /** Fills in the keys of the data that follow from the task alone. */
  void complete(Kind kind, ObjectNode data) {}

  /** Whether the data are read for more keys. @param isCounted whether the model has its classes */
  boolean dependsOnFiles(RecipeData data, boolean isCounted) {
    return false;
  }

  /** With the keys that follow from what the files hold. */
  RecipeData measured(RecipeData data) {
    return data;
  }

  /** Fills in the keys of the model that follow from task and data. */
  void complete(ObjectNode model, RecipeData data) {}

  /** Refuses a model that does not fit. */
  void check(RecipeData data, PerformerConfig model) {
    require(
        model.shiftBos() == null,
        "model.shiftBos makes sense with tasks causal-lm and sequence-to-sequence only");
  }

  /** What the model learns to guess. */
  Objective objective(RecipeData data, PerformerConfig model) {
    return objective.apply(data, model);
  }

  private static SpanCorruption corruption(RecipeData data) {
    return data.spans().corruption(data.tokens());
  }

  /** What is measured besides the loss. */
  Measures measures(Trainable model, RecipeData data, int classes) {
    return Measures.NONE;
  }
}
