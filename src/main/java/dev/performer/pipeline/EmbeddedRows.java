package dev.performer.pipeline;

import dev.performer.data.Field;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The vectors of rows. */
record EmbeddedRows(Embedder embedder, EmbeddingSpec spec, TokenInput.Runner runner)
    implements RowModel {
  @Override
  public TokenInput input() {
    return spec.input();
  }

  @Override
  public Path model() {
    return spec.input().model();
  }

  @Override
  public String description() {
    String text = "embed %s %s %s %s %s";
    return text.formatted(
        input().signature().name(),
        spec.output(),
        spec.pooling(),
        spec.normalize(),
        input().tokenizer().label());
  }

  @Override
  public List<Field> fields(Item sample, int length, int longer) {
    NpyArray vector = vectors(List.of(sample), length).get(0);
    int rank = vector.shape().length;
    int size = (int) vector.shape()[rank - 1];
    boolean isPerToken = rank == 2;
    String name = isPerToken ? "embeddings" : "embedding";
    Field vectors = Field.numbers(name, NpyType.FLOAT32, rank, size, isPerToken).labelled("e");
    return List.of(vectors, input().tokens(isPerToken), TokenInput.LENGTHS);
  }

  private List<NpyArray> vectors(List<Item> items, int length) {
    List<int[]> ids = items.stream().map(item -> item.encoding().ids()).toList();
    var outputs = runner.run(ids, length, List.of(spec.output()));
    NpyArray all = embedder.vectors(outputs, ids, length).values().iterator().next();
    List<NpyArray> rows = new ArrayList<>();
    for (int r = 0; r < ids.size(); r++) {
      NpyArray row = all.row(r);
      boolean isPerToken = row.shape().length == 2;
      rows.add(isPerToken ? row.rows(0, ids.get(r).length) : row);
    }
    return rows;
  }

  @Override
  public List<Object[]> run(List<Item> items, int length, List<Field> fields) {
    List<Object[]> rows = new ArrayList<>();
    List<NpyArray> vectors = vectors(items, length);
    for (int r = 0; r < items.size(); r++) {
      int[] ids = items.get(r).encoding().ids();
      rows.add(
          new Object[] {
            vectors.get(r), NpyArray.of(ids, ids.length), TokenInput.number(ids.length)
          });
    }
    return rows;
  }
}
