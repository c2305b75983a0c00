package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The outputs of a signature for rows of sequences, and the names of what they guess. */
record PredictedRows(Predictor predictor, TokenInput.Runner runner) implements RowModel {
  @Override
  public TokenInput input() {
    return runner.input();
  }

  @Override
  public Path model() {
    return predictor.model().path();
  }

  @Override
  public String description() {
    return "predict %s %s".formatted(input().signature().name(), input().tokenizer().label());
  }

  @Override
  public List<Field> fields(Item sample, int length, int longer) {
    Map<String, NpyArray> outputs = outputs(List.of(sample), length);
    Map<String, NpyArray> others = longer == length ? outputs : outputs(List.of(sample), longer);
    List<Field> fields = new ArrayList<>();
    List<String> names =
        runner.rowOutputs().stream().filter(n -> !n.matches("tokens|lengths")).toList();
    names.forEach(
        name -> {
          NpyArray output = outputs.get(name);
          long[] shape = output.shape();
          long[] other = others.get(name).shape();
          var spec = input().signature().output(name).shape();
          boolean isOpen = spec.isUnknown() || shape.length < 2 || spec.get(1) < 0;
          boolean isPerToken =
              shape.length > 1
                  && (isOpen || input().isFixed() && shape.length > 2)
                  && shape[1] == length
                  && other[1] == longer;
          fields.add(field(name, output, other, isPerToken));
        });
    if (!predictor.names(outputs).isEmpty()) {
      fields.add(Field.text(Predictor.PREDICTION));
    }
    fields.add(input().tokens(false));
    fields.add(TokenInput.LENGTHS);
    return fields;
  }

  /** Of a batch. @param other the shape where rows are longer */
  static Field field(String name, NpyArray output, long[] other, boolean isPerToken) {
    long[] shape = output.shape();
    int last = shape.length - 1;
    boolean isText = output.type() == NpyType.STRING;
    String texts = "the output %s %s has several texts a row, which is not written";
    require(!isText || last == 0, texts, name, output);
    if (last == 0) {
      return isText ? Field.text(name) : Field.number(name, output.type());
    }
    boolean isWide = shape[last] == other[last] && !(isPerToken && last == 1);
    int width = isWide ? (int) shape[last] : 0;
    Field field = Field.numbers(name, output.type(), last, width, isPerToken);
    return width == 0 ? field.labelled(name) : field;
  }

  /** The value of a row. */
  static Object value(NpyArray output, int row) {
    NpyArray one = output.row(row);
    boolean isText = one.type() == NpyType.STRING;
    return isText ? new String(one.strings().get(0), StandardCharsets.UTF_8) : one;
  }

  private Map<String, NpyArray> outputs(List<Item> items, int length) {
    List<int[]> ids = items.stream().map(item -> item.encoding().ids()).toList();
    Map<String, NpyArray> outputs = runner.run(ids, length, runner.rowOutputs());
    int[] lengths = ids.stream().mapToInt(row -> row.length).toArray();
    outputs.put("lengths", NpyArray.of(lengths, lengths.length)); // in place of its own
    return outputs;
  }

  @Override
  public List<Object[]> run(List<Item> items, int length, List<Field> fields) {
    Map<String, NpyArray> outputs = outputs(items, length);
    List<String> names = predictor.names(outputs);
    List<Object[]> rows = new ArrayList<>();
    for (int r = 0; r < items.size(); r++) {
      int[] ids = items.get(r).encoding().ids();
      Object[] values = new Object[fields.size()];
      for (int i = 0; i < values.length; i++) {
        Field field = fields.get(i);
        values[i] =
            switch (field.name()) {
              case "tokens" -> NpyArray.of(ids, ids.length);
              case "lengths" -> TokenInput.number(ids.length);
              case Predictor.PREDICTION -> names.get(r);
              default -> value(outputs.get(field.name()), r);
            };
        if (field.perToken() && !field.name().equals("tokens")) {
          values[i] = ((NpyArray) values[i]).rows(0, ids.length);
        }
      }
      rows.add(values);
    }
    return rows;
  }
}
