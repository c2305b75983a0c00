package dev.performer.study;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.study.OpProfile.Group;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.tensorflow.ndarray.Shape;

class OpProfileTest {
  @ParameterizedTest
  @CsvSource({
    "MatMul, MATMUL",
    "_MklFusedBatchMatMulV2, MATMUL",
    "_FusedMatMul, MATMUL",
    "Einsum, MATMUL",
    "Exp, EXP",
    "_MklSoftmax, EXP",
    "ConcatV2, COPY",
    "StridedSliceGrad, COPY",
    "Transpose, COPY",
    "_MklTranspose, COPY",
    "Sum, REDUCTION",
    "Cumsum, REDUCTION",
    "Mul, ELEMENT_WISE",
    "_MklNativeAddV2, ELEMENT_WISE",
    "SelectV2, ELEMENT_WISE",
    "ReadVariableOp, REST",
    "_Retval, REST",
    "'', REST"
  })
  void kindsOfOps(String type, Group group) {
    assertThat(Group.of(type)).isEqualTo(group);
  }

  @Test
  void timesOfARunAreThoseOfItsOps() {
    try (TimedGraph timed = new TimedGraph()) {
      var tf = timed.tf();
      var x = timed.normal(Shape.of(64, 64));
      var product = tf.linalg.matMul(x, x);
      var turned = tf.linalg.transpose(tf.math.exp(product), tf.constant(new int[] {1, 0}));
      timed.add("work", tf.math.square(turned));
      timed.initialized();
      OpProfile profile = OpProfile.of(timed.work().get("work"));
      assertThat(profile.groups())
          .containsKeys(Group.MATMUL, Group.EXP, Group.COPY, Group.ELEMENT_WISE);
      assertThat(profile.dearest())
          .anySatisfy(node -> assertThat(node.shapes()).isEqualTo("[64,64]"));
      double sum = profile.groups().values().stream().mapToDouble(OpProfile.Share::ms).sum();
      assertThat(profile.opsMs()).isEqualTo(sum).isPositive();
      assertThat(OpProfile.table("a case", Map.of("work", profile)))
          .contains("## a case", "| work |", "dearest nodes of work", "page faults");
    }
  }

  @Test
  void workWithoutATraceSaysSo() {
    InTurns.Work work = () -> {};
    assertThatThrownBy(() -> OpProfile.of(work))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("no trace");
  }
}
