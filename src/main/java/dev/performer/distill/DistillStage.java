package dev.performer.distill;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.StrictJson;
import dev.performer.distill.DistillRecipe.Loss;
import dev.performer.distill.DistillRecipe.Weights;
import dev.performer.training.LoopOptions;

/**
 * One of several trainings that a recipe has one after the other. In a recipe, keys that a stage
 * leaves out are those of the recipe itself; only its seed is the recipe's plus its number, so that
 * it sees the sequences in another order.
 *
 * @param name for a person
 */
public record DistillStage(
    @JsonInclude(JsonInclude.Include.NON_NULL) String name,
    Loss loss,
    Weights weights,
    LoopOptions training) {
  public DistillStage {
    loss = loss == null ? new Loss(null, null, null, null) : loss;
    weights = weights == null ? Weights.DEFAULT : weights;
    training = training == null ? DistillRecipe.LOOP : training;
    DistillRecipe.check(training, weights);
  }

  /** Fills in what stages leave out; {@code recipe} has all keys of {@code training}. */
  static void resolve(ArrayNode stages, ObjectNode recipe, String source) {
    LoopOptions loop = StrictJson.bind(recipe.get("training"), LoopOptions.class, source);
    for (int i = 0; i < stages.size(); i++) {
      String text = "%s: stages[%d]: expected an object, such as {training: {steps: 100}}";
      require(stages.get(i) instanceof ObjectNode, text, source, i);
      ObjectNode stage = (ObjectNode) stages.get(i);
      stage.set("loss", over(recipe.path("loss"), stage.path("loss")));
      stage.set("weights", over(recipe.path("weights"), stage.path("weights")));
      JsonNode own = stage.path("training");
      ObjectNode all = loop.over(own, source + ": stages[" + i + "].training");
      if (!own.has("seed")) {
        all.put("seed", loop.seed() + i);
      }
      stage.set("training", all);
    }
  }

  /** Keys over others; what is no object is left for binding to refuse. */
  private static JsonNode over(JsonNode all, JsonNode some) {
    boolean isGiven = !some.isMissingNode() && !some.isNull();
    if (isGiven && !(some instanceof ObjectNode)) {
      return some;
    }
    ObjectNode both = JsonNodeFactory.instance.objectNode();
    if (all instanceof ObjectNode others) {
      both.setAll(others);
    }
    if (isGiven) {
      both.setAll((ObjectNode) some);
    }
    return both;
  }
}
