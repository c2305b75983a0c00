package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.SignatureSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The outputs of a signature for rows of the arrays that it takes. */
record PredictedArrays(Predictor predictor, SignatureSpec signature) implements RowModel {
  @Override
  public TokenInput input() {
    return null;
  }

  @Override
  public List<String> arrays() {
    return List.copyOf(signature.inputs().keySet());
  }

  @Override
  public Path model() {
    return predictor.model().path();
  }

  @Override
  public String description() {
    return "predict " + signature.name();
  }

  @Override
  public List<Field> fields(Item sample, int length, int longer) {
    List<Field> fields = new ArrayList<>();
    outputs(List.of(sample))
        .forEach(
            (name, output) -> fields.add(PredictedRows.field(name, output, output.shape(), false)));
    return fields;
  }

  private Map<String, NpyArray> outputs(List<Item> items) {
    Map<String, NpyArray> feeds = new LinkedHashMap<>();
    int place = 0;
    for (String name : signature.inputs().keySet()) {
      int i = place++;
      var rows = items.stream().map(item -> ((NpyArray) item.row().kept()[i]).asRow()).toList();
      feeds.put(name, NpyArray.join(rows));
    }
    var outputs = predictor.predict(signature.name(), feeds);
    String other = "the output %s %s has no row for each of %d rows; run all rows at once";
    outputs.forEach(
        (name, output) -> {
          boolean hasRows = output.shape().length > 0 && output.shape()[0] == items.size();
          require(hasRows, other, name, output, items.size());
        });
    return outputs;
  }

  @Override
  public List<Object[]> run(List<Item> items, int length, List<Field> fields) {
    Map<String, NpyArray> outputs = outputs(items);
    List<Object[]> rows = new ArrayList<>();
    for (int r = 0; r < items.size(); r++) {
      int row = r;
      rows.add(
          fields.stream()
              .map(field -> PredictedRows.value(outputs.get(field.name()), row))
              .toArray());
    }
    return rows;
  }
}
