package dev.performer.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.Batches.BatchPosition;
import dev.performer.data.TokenRows.RowBatches;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenRowsTest {
  private static final OptionalInt NO_PAD = OptionalInt.empty();

  @TempDir Path folder;

  private Path npz(NpyArray tokens, NpyArray mask) {
    Map<String, NpyArray> arrays = new LinkedHashMap<>();
    if (tokens != null) {
      arrays.put("tokens", tokens);
    }
    if (mask != null) {
      arrays.put("mask", mask);
    }
    Path file = folder.resolve("data.npz");
    Npz.write(file, arrays);
    return file;
  }

  private static NpyArray ints(int rows, int columns, int... values) {
    return NpyArray.of(values, rows, columns);
  }

  private static List<List<Integer>> lists(TokenRows rows) {
    return rows.rows().stream().map(r -> Arrays.stream(r).boxed().toList()).toList();
  }

  @Test
  void maskSaysWhatIsReal() {
    Path file = npz(ints(3, 3, 5, 0, 9, 7, 8, 9, 1, 2, 3), ints(3, 3, 1, 1, 0, 1, 1, 1, 0, 0, 0));
    TokenRows rows = TokenRows.npz(file, OptionalInt.of(0));
    assertThat(lists(rows)).containsExactly(List.of(5, 0), List.of(7, 8, 9));
    assertThat(rows.notes()).singleElement().asString().contains("1 rows without a token");
  }

  @Test
  void withoutMaskPaddingIsTheTail() {
    Path file = npz(ints(2, 4, 5, 0, 6, 0, 7, 0, 0, 0), null);
    assertThat(lists(TokenRows.npz(file, OptionalInt.of(0))))
        .containsExactly(List.of(5, 0, 6), List.of(7));
    assertThat(lists(TokenRows.npz(file, NO_PAD)))
        .containsExactly(List.of(5, 0, 6, 0), List.of(7, 0, 0, 0));
  }

  @Test
  void refusals() {
    refused(npz(null, ints(1, 1, 1)), "has no array 'tokens'", "mask");
    refused(npz(NpyArray.of(new int[] {1, 2}, 2), null), "tokens is", "expected [N, L]");
    refused(npz(ints(1, 2, 1, 2), ints(1, 1, 1)), "mask is");
    refused(npz(ints(1, 3, 1, 2, 3), ints(1, 3, 1, 0, 1)), "row 0: mask", "padding stands at");
    refused(npz(ints(1, 2, 1, 2), ints(1, 2, 0, 0)), "holds no sequence");
    refused(npz(ints(0, 2), null), "holds no sequence");
    refused(npz(NpyArray.of(new float[] {1, Float.NaN}, 1, 2), null), "holds NaN");
    refused(npz(NpyArray.of(new float[] {1, 1.5f}, 1, 2), null), "holds 1.5", "whole numbers");
  }

  private static void refused(Path file, String... parts) {
    assertThatThrownBy(() -> TokenRows.npz(file, NO_PAD))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(file.toString())
        .satisfies(e -> assertThat(e.getMessage()).contains(parts));
  }

  @Test
  void cropsWithNoteAndChecksIds() {
    Path file = npz(ints(2, 4, 1, 2, 3, 4, 5, 6, 7, 8), null);
    TokenRows rows = TokenRows.npz(file, NO_PAD);
    assertThat(lists(rows.cropped(2))).containsExactly(List.of(1, 2), List.of(5, 6));
    assertThat(rows.cropped(2).notes().get(0)).contains("2 of 2 sequences are longer than 2");
    assertThat(rows.cropped(4)).isSameAs(rows);
    rows.requireIdsBelow(9);
    assertThatThrownBy(() -> rows.requireIdsBelow(8))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("sequence 1 has the token id 8; the model knows 0 to 7");
  }

  @Test
  void splitIsWithoutOverlap() {
    List<int[]> all = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      all.add(new int[] {i});
    }
    List<TokenRows> parts = new TokenRows("test", all, List.of()).split(3);
    assertThat(lists(parts.get(0))).containsExactly(List.of(0), List.of(3), List.of(6));
    assertThat(lists(parts.get(1))).containsExactly(List.of(1), List.of(2), List.of(4), List.of(5));
    assertThatThrownBy(() -> new TokenRows("one", all.subList(0, 1), List.of()).split(3))
        .hasMessageContaining("one sequence cannot be split");
  }

  @Test
  void everySequenceIsInAnEpochOnce() {
    Random random = new Random(1);
    List<int[]> all = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      int[] row = new int[1 + random.nextInt(20)];
      Arrays.fill(row, 1);
      row[0] = 1000 + i;
      all.add(row);
    }
    TokenRows rows = new TokenRows("test", all, List.of());
    RowBatches batches = new RowBatches(rows, null, 7, 64, 0, 5);
    List<Integer> orders = new ArrayList<>();
    for (int epoch = 0; epoch < 2; epoch++) {
      TreeSet<Integer> seen = new TreeSet<>();
      BatchPosition at = new BatchPosition(epoch, 0);
      for (TokenBatch batch = batches.from(at).next();
          batch.position().epoch() == epoch;
          batch = batches.from(batch.position().next()).next()) {
        assertThat(batch.rows() * batch.length()).isLessThanOrEqualTo(64);
        for (int r = 0; r < batch.rows(); r++) {
          int first = batch.tokens()[r * batch.length()];
          assertThat(seen.add(first)).isTrue();
          orders.add(first);
          int length = all.get(first - 1000).length;
          assertThat(batch.lengths()[r]).isEqualTo(length);
          for (int i = length; i < batch.length(); i++) {
            assertThat(batch.tokens()[r * batch.length() + i]).isEqualTo(7);
          }
        }
      }
      assertThat(seen).hasSize(100);
    }
    assertThat(orders.subList(0, 100)).isNotEqualTo(orders.subList(100, 200));
    RowBatches again = new RowBatches(rows, null, 7, 64, 0, 5);
    assertThat(again.from(new BatchPosition(1, 2)).next().tokens())
        .isEqualTo(batches.from(new BatchPosition(1, 2)).next().tokens());
    assertThat(new RowBatches(rows, null, 7, 64, 32, 5).from(BatchPosition.START).next().length())
        .isEqualTo(32);
  }
}
