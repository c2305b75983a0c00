package dev.performer.savedmodel;

import dev.performer.data.NpyArray;
import java.util.Map;
import org.tensorflow.Operand;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.core.Gather;
import org.tensorflow.op.core.Placeholder;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;
import org.tensorflow.types.family.TType;

/**
 * Reads one position of each row of an output {@code [B, L, V]}, as float32; the others never leave
 * TensorFlow. Belongs to the predictor; safe for use from many threads.
 */
public final class PositionReader {
  private final SavedModelPredictor predictor;
  private final SignatureSpec spec;
  private final Placeholder<TInt32> positions;
  private final Operand<TFloat32> values;

  /** Prepares an output; before the first run, as it makes the graph a little larger. */
  public PositionReader(SavedModelPredictor predictor, SignatureSpec spec, String output) {
    this.predictor = predictor;
    this.spec = spec;
    String[] tensor = spec.output(output).tensor().split(":");
    Output<?> whole = predictor.graph().operation(tensor[0]).output(Integer.parseInt(tensor[1]));
    Ops tf = Ops.create(predictor.graph()).withSubScope("position");
    positions = tf.placeholder(TInt32.class); // [B]
    var places = tf.expandDims(positions, tf.constant(1)); // [B, 1]
    @SuppressWarnings("unchecked") // of any type
    var all = (Operand<TType>) whole;
    var axis = Gather.batchDims(1L);
    values = tf.dtypes.cast(tf.gather(all, places, tf.constant(1), axis), TFloat32.class);
  }

  /** Runs the signature. @return {@code [B, 1, V]} @param at a position for each row */
  public NpyArray read(Map<String, NpyArray> inputs, int[] at) {
    var feeds = Map.of(positions.op().name() + ":0", NpyArray.of(at, at.length));
    String tensor = values.op().name() + ":0";
    return predictor.run(spec, inputs, feeds, Map.of("values", tensor)).get("values");
  }
}
