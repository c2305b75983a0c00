package dev.performer.pipeline;

import static dev.performer.data.RowFormat.NPZ;
import static dev.performer.data.RowFormat.PARQUET;

import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.data.Tokenizer;
import dev.performer.pipeline.Scorer.Score;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The log-likelihoods of rows: first how many tokens count, the sum, the mean, the perplexity. */
record ScoredRows(Scorer scorer, LanguageModelSpec spec, boolean perToken) implements RowModel {
  @Override
  public TokenInput input() {
    return scorer.input();
  }

  @Override
  public Path model() {
    return input().model();
  }

  @Override
  public String description() {
    return "score %s %s %s".formatted(spec.tensors(), input().tokenizer().label(), perToken);
  }

  @Override
  public List<Field> fields(Item sample, int length, int longer) {
    Field tokens = Field.numbers("log_probabilities", NpyType.FLOAT64, 1, 0, true);
    List<Field> fields = new ArrayList<>();
    fields.add(Field.number("counted", NpyType.INT32).labelled("tokens"));
    for (String name : List.of("log_probability", "mean", "perplexity")) {
      fields.add(Field.number(name, NpyType.FLOAT64));
    }
    if (perToken) {
      fields.replaceAll(field -> field.in(NPZ, PARQUET)); // a table of text has a line per token
    }
    fields.add(perToken ? tokens.labelled("log_probability") : tokens.in(NPZ));
    fields.add(input().tokens(perToken));
    fields.add(TokenInput.LENGTHS);
    return fields;
  }

  @Override
  public List<Object[]> run(List<Item> items, int length, List<Field> fields) {
    List<Tokenizer.Encoding> encodings = items.stream().map(Item::encoding).toList();
    List<Score> scores = scorer.score(encodings, length, items.size(), () -> {});
    List<Object[]> rows = new ArrayList<>();
    for (int r = 0; r < items.size(); r++) {
      Score score = scores.get(r);
      int[] ids = encodings.get(r).ids();
      rows.add(
          new Object[] {
            TokenInput.number(score.counted()),
            NpyArray.of(score.sum()),
            NpyArray.of(score.mean()),
            NpyArray.of(score.perplexity()),
            NpyArray.of(score.tokens(), ids.length),
            NpyArray.of(ids, ids.length),
            TokenInput.number(ids.length)
          });
    }
    return rows;
  }

  /** How many tokens count, and the sum over them. */
  @Override
  public double[] sums(Object[] values) {
    return values == null
        ? new double[2]
        : new double[] {((NpyArray) values[0]).ints()[0], ((NpyArray) values[1]).doubles()[0]};
  }
}
