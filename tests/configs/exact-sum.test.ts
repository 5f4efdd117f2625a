import fc from "fast-check";
import { ExactSum } from "../../configs/exact-sum";
import { add, rational, type Rational } from "../../configs/rational";

const sumOf = (values: readonly number[]): number => {
  const sum = new ExactSum();
  for (const value of values) sum.add(value);
  return sum.value;
};

/** The float nearest to a fraction. */
const nearest = ({ numerator, denominator }: Rational): number =>
  // 60 digits are more than a float of this size can tell apart.
  Number(`${(numerator * 10n ** 60n) / denominator}e-60`);

test.each([
  [[], 0],
  [[1e100, 1, -1e100], 1],
  [[0.1, 0.2, 0.3, -0.6], 2.7755575615628914e-17],
  [[1e308, 1e308, -1e308], Number.NaN],
  [[-0], 0],
])("the sum of %p is %p", (values, sum) => expect(sumOf(values)).toBe(sum));

test("is the exact one, rounded once, in whatever order the values come", () => {
  const value = fc.integer({ min: -1e9, max: 1e9 }).map((n) => n / 1000);
  fc.assert(
    fc.property(fc.array(value, { maxLength: 60 }), fc.nat(), (values, turn) => {
      const exact = values.reduce((sum, each) => add(sum, exactly(each)), rational(0));
      const at = values.length === 0 ? 0 : turn % values.length;
      expect(sumOf([...values.slice(at), ...values.slice(0, at)])).toBe(nearest(exact));
    }),
  );
});

/** The value of a float, not of its digits: a multiple of a power of two. */
function exactly(value: number): Rational {
  const power = 2 ** 60;
  return { numerator: BigInt(value * power), denominator: BigInt(power) };
}
